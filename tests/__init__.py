"""The tests, and the generators of data that benchmarks share with them."""
