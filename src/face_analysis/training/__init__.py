"""Training: one entry, run.py, that reads from top to bottom."""
