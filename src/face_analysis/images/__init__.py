"""From file bytes to RGB pixels."""
