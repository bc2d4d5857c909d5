"""Lists of images with their labels: read, written, split, and made of public sets."""
