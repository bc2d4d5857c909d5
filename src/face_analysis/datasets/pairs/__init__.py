"""Pairs of images, the protocols that name them, and verification sets on disk."""
