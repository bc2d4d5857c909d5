"""Face Analysis: train, run and check race, gender, age and recognition models of faces."""

__version__ = "0.1.0"
