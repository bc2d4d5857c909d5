"""What is drawn for an image: jitter, degradation, dropout, mixing."""
