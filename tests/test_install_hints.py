from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import face_analysis

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {
    extra: {re.split(r"[\[<>=!~ ]", line, maxsplit=1)[0] for line in lines}
    for extra, lines in PROJECT["optional-dependencies"].items()
}
SOURCES = list(Path(face_analysis.__file__).parent.rglob("*.py"))
TEXTS = [*SOURCES, *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def missing_packages() -> list[tuple[str, ast.Call]]:
    return [
        (file.name, node)
        for file in SOURCES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "MissingPackageError"
    ]


def test_an_error_of_a_missing_package_names_one_of_the_extra_it_names() -> None:
    calls = missing_packages()
    assert {name for name, _ in calls} >= {"faiss_index.py", "parquet.py", "onnx_session.py"}
    for name, call in calls:
        if name == "extras.py":  # its table has a test of its own
            continue
        package, extra = (ast.literal_eval(given) for given in call.args[1:])
        assert package in EXTRAS[extra], f"{name}: extra {extra} does not bring {package}"


def test_extras_of_this_package_that_texts_name_exist() -> None:
    for file in TEXTS:
        for name, extras in re.findall(r"(face[-_]analysis)\[([\w,]+)\]", file.read_text()):
            assert name == PROJECT["name"], file
            assert set(extras.split(",")) <= EXTRAS.keys(), file


def test_nothing_is_told_to_be_installed_but_this_package_and_what_it_lists() -> None:
    known = {re.split(r"[\[<>=!~ ]", line, maxsplit=1)[0] for line in PROJECT["dependencies"]}
    known = known.union(*EXTRAS.values()) | {"{package}", ".", "constraints.txt"}
    for file in TEXTS:
        for words in re.findall(r"pip install ([^\n`#]+)", file.read_text()):
            named = {word.strip("'\"") for word in words.split() if not word.startswith("-")}
            assert {re.sub(r"\[.*\]", "", name) for name in named} <= known, f"{file}: {words}"


def test_extras_in_the_code_are_those_of_the_project() -> None:
    """The two texts of packages that only some commands need: `extras.py` and pyproject.toml."""
    from face_analysis.extras import EXTRAS as MODULES

    for extra, modules in MODULES.items():
        brought = set(EXTRAS[extra])
        for line in PROJECT["optional-dependencies"][extra]:
            if line.startswith("face-analysis["):
                brought |= set().union(*(EXTRAS[name] for name in line[14:].rstrip("]").split(",")))
        assert set(modules.values()) == brought - {"face-analysis"}


def test_the_core_is_small() -> None:
    assert len(PROJECT["dependencies"]) <= 10
