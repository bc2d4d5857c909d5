"""Fixtures of the tests of commands, for comparisons of Python with the shell."""

from __future__ import annotations

from tests.cli.conftest import models, recognition_model, run

__all__ = ["models", "recognition_model", "run"]
