"""What a run leaves in its folder, and how it is taken up again."""
