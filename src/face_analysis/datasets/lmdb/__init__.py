"""Packed files of images in LMDB, in the layout of the original system."""
