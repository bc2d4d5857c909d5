"""Model cards: what a set of weights is, and the check that it is that."""
