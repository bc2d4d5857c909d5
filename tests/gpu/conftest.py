"""The runs of the training's tests, here on a GPU."""

from tests.training.conftest import few, options, people, recognition, sets

__all__ = ["few", "options", "people", "recognition", "sets"]
