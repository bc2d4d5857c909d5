from __future__ import annotations

import ast
import re
from pathlib import Path

import face_analysis

PACKAGE = Path(face_analysis.__file__).parent
ORDER = (
    "zoo",
    "images",
    "datasets",
    "models",
    "losses",
    "evaluation",
    "matching",
    "inference",
    "auditing",
    "training",
    "reports",
    "api",
    "cli",
)


def imported(file: Path) -> list[str]:
    """Modules of the package that a file imports, at its head or inside its functions."""
    names = [
        node.module
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module
    ]
    return [name for name in names if name.startswith("face_analysis.")]


def test_a_folder_imports_only_from_folders_above_it() -> None:
    wrong = [
        f"{file.relative_to(PACKAGE)} imports {module}"
        for folder in PACKAGE.iterdir()
        if folder.name in ORDER
        for file in folder.rglob("*.py")
        for module in imported(file)
        if (place := module.split(".")[1]) in ORDER and ORDER.index(place) > ORDER.index(folder.name)
    ]
    assert wrong == []


def test_files_beside_the_folders_import_no_folder() -> None:
    """But for `__init__`, which gives names from inside when asked, and `__main__`, which is the command."""
    wrong = [
        f"{file.name} imports {module}"
        for file in PACKAGE.glob("*.py")
        if file.name not in ("__init__.py", "__main__.py")
        for module in imported(file)
        if module.split(".")[1] in ORDER
    ]
    assert wrong == []


def test_every_folder_is_in_the_order() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(ORDER)


def test_files_that_the_design_page_names_are_there() -> None:
    """They are named by the ends of their paths."""
    page = Path(__file__).parents[1] / "docs" / "design.md"
    named = set(re.findall(r"`([a-z0-9_/]+\.py)`", page.read_text(encoding="utf-8")))
    there = [f"/{file.relative_to(PACKAGE).as_posix()}" for file in PACKAGE.rglob("*.py")]
    at_the_root = {file.name for file in page.parents[1].glob("*.py")}
    assert {
        name for name in named - at_the_root if not any(path.endswith(f"/{name}") for path in there)
    } == set()
