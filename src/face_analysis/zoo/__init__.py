"""Models and what they are: cards, the catalogue, and finding weights by SHA-256."""
