"""How every figure looks."""

from __future__ import annotations

from contextlib import AbstractContextManager

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Told apart by colour-blind eyes (Okabe and Ito 2008)."""


def figure_style() -> AbstractContextManager[None]:
    """matplotlib's settings for the block that draws and saves figures."""
    import matplotlib as mpl

    return mpl.rc_context(
        {
            "font.size": 11,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "savefig.dpi": 150,
            "savefig.bbox": "tight",
            "savefig.pad_inches": 0.15,
        }
    )


def figure_text(text: str) -> str:
    """A name as a figure draws it: `$` begins no formula, and bytes that are not UTF-8 are escaped."""
    return text.encode("utf-8", "backslashreplace").decode().replace("$", r"\$")
