"""A package of an extra that is not installed is named before the work that would need it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.mark.parametrize(
    ("words", "module", "package", "extra"),
    [
        ("match {none} -o {out} --scores parquet", "pyarrow", "pyarrow", "parquet"),
        ("predict -s {none} -d {out} --format parquet", "pyarrow", "pyarrow", "parquet"),
        ("search {none} {none} -o {out} --index faiss", "faiss", "faiss-cpu", "faiss"),
    ],
)
def test_it_is_named_before_any_input_is_opened(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    module: str,
    package: str,
    extra: str,
) -> None:
    words = words.format(none=tmp_path / "none", out=tmp_path / "out")
    assert "none" in run(words)[2]  # with the package, what is missing is the input
    monkeypatch.setitem(sys.modules, module, None)
    status, _, err = run(words)
    assert status == 2
    assert f"needs the package {package}: `pip install {package}`" in err
    assert f"extra `{extra}`" in err
    assert list(tmp_path.iterdir()) == []
