"""The packages that only some commands need, by the extra of this package that brings them."""

from __future__ import annotations

from importlib.util import find_spec

from face_analysis.errors import MissingPackageError

PACK = {"lmdb": "lmdb", "msgpack": "msgpack"}
REPORTS = {"scipy": "scipy", "matplotlib": "matplotlib", "jinja2": "Jinja2"}
EXTRAS = {
    "pack": PACK,
    "reports": REPORTS,
    "train": {"lightning_fabric": "lightning-fabric", "tensorboard": "tensorboard", **PACK, **REPORTS},
}
"""Of each extra the packages, by the name of the module that is imported."""


def require(extra: str, what: str) -> None:
    """Raise MissingPackageError, before any work, where a package is missing that `what` needs."""
    for module, package in EXTRAS[extra].items():
        if find_spec(module) is None:
            raise MissingPackageError(what, package, extra)
