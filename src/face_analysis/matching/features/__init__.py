"""Embeddings on disk with the names of their images."""
