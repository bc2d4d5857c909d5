"""Tables that leave the package as pandas DataFrames, which is an extra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from face_analysis.errors import MissingPackageError

if TYPE_CHECKING:
    import pandas as pd


def data_frame(what: str, columns: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """Columns by name as a DataFrame. Raises MissingPackageError, which says `what` needs pandas."""
    try:
        import pandas as pd
    except ImportError:
        raise MissingPackageError(what, "pandas", "pandas") from None
    return pd.DataFrame(dict(columns))
