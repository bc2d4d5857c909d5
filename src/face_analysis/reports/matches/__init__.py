"""What matching counted: figures, tables and one page."""
