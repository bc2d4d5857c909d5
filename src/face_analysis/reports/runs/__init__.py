"""Training runs side by side: curves, tables and one page."""
