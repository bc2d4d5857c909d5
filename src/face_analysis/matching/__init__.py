"""Sets of embeddings on disk, and comparisons between them."""
