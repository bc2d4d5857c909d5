"""Pages of HTML with nothing to fetch from elsewhere: templates, and pictures as text."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from face_analysis.types import Image

SIDE = 96
"""Width of a thumbnail in pixels."""


@dataclass(frozen=True)
class Table:
    """Heads and rows of text."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Picture:
    """A figure: PNG in base 64, and words about it."""

    title: str
    about: str
    data: str


def render(template: str, **values: Any) -> str:
    """The page that a template of this folder makes of the values; they are text, whatever is in them."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template(template).render(side=SIDE, **values)


def base64_text(data: bytes) -> str:
    """Bytes as a page holds them."""
    return base64.b64encode(data).decode("ascii")


def thumbnail(picture: Image) -> str:
    """RGB uint8 (H, W, 3) as JPEG of SIDE pixels width, in base 64."""
    height, width = picture.shape[:2]
    size = (SIDE, max(1, round(SIDE * height / width)))
    small = cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
    return base64_text(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes())
