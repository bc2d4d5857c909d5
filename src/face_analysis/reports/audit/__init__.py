"""What an audit found: its tables and its page."""
