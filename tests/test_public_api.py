"""What `import face_analysis` gives: its names, its docstrings and the examples in them."""

from __future__ import annotations

import doctest
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import face_analysis
from face_analysis.errors import FaceAnalysisError

FUNCTIONS = sorted(name for name in face_analysis.__all__ if inspect.isfunction(getattr(face_analysis, name)))
CLASSES = sorted(name for name in face_analysis.__all__ if inspect.isclass(getattr(face_analysis, name)))
SECTIONS = ("Args:", "Raises:")


def test_the_names_are_those_that_users_rely_on() -> None:
    assert [
        *("AgeEstimate", "ClassEstimate", "Detection", "Face", "FaceAnalysisError", "FaceAnalyzer"),
        *("FaceComparison", "FeatureSet", "ImageFailure", "Photo", "TrainOptions"),
    ] == CLASSES
    assert [
        *("align_chip", "audit", "call", "compare", "draw", "evaluate_attributes", "evaluate_verification"),
        *("match", "search", "train"),
    ] == FUNCTIONS
    assert set(face_analysis.__all__) == {*CLASSES, *FUNCTIONS}
    assert set(face_analysis.__all__) <= set(dir(face_analysis))


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = "sorted({'torch', 'cv2', 'pandas'} & set(sys.modules))"
    code = f"import sys, face_analysis; dir(face_analysis); print(*{heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_name_that_is_none_is_refused_as_python_does() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = face_analysis.nothing


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_parameter_is_annotated_and_described(name: str) -> None:
    function = getattr(face_analysis, name)
    signature, text = inspect.signature(function), inspect.getdoc(function) or ""
    assert signature.return_annotation is not inspect.Signature.empty
    for parameter in signature.parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty, parameter.name
        assert parameter.name in text, f"{parameter.name} is not described"


@pytest.mark.parametrize("name", [name for name in CLASSES if name != "FaceAnalysisError"])
def test_every_public_method_has_a_docstring(name: str) -> None:
    kind = getattr(face_analysis, name)
    assert inspect.getdoc(kind)
    public = {key: value for key, value in vars(kind).items() if not key.startswith("_") and callable(value)}
    assert [key for key, value in public.items() if not inspect.getdoc(value)] == []


def test_all_errors_have_one_base() -> None:
    from face_analysis import errors

    kinds = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, Exception)]
    assert all(issubclass(kind, FaceAnalysisError) for kind in kinds)


def examples() -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(recurse=True)
    objects = [face_analysis, *(getattr(face_analysis, name) for name in face_analysis.__all__)]
    found = [test for one in objects for test in finder.find(one, getattr(one, "__name__", "face_analysis"))]
    return [test for test in found if test.examples]


def test_there_are_examples() -> None:
    assert {"face_analysis", "FaceAnalyzer", "FeatureSet.from_arrays", "compare", "match", "train"} <= {
        test.name for test in examples()
    }


@pytest.mark.parametrize("example", examples(), ids=lambda test: test.name)
def test_the_examples_of_the_docstrings_run(
    example: doctest.DocTest, photos: Path, patterns: Path, tmp_path: Path
) -> None:
    example.globs |= {"portrait": photos / "hopper.jpg", "patterns": patterns, "folder": tmp_path / "run"}
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example)
    assert result.failed == 0
    assert result.attempted > 0
