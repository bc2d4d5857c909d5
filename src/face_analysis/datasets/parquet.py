"""Apache Parquet, which an extra brings."""

from __future__ import annotations

from typing import Any

from face_analysis.errors import MissingPackageError


def pyarrow_for(what: str) -> tuple[Any, Any]:
    """The modules `pyarrow` and `pyarrow.parquet`, which `what` needs. Raises MissingPackageError.

    A command that writes Parquet at its end calls it before it begins.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingPackageError(what, "pyarrow", "parquet") from None
    return pa, pq
