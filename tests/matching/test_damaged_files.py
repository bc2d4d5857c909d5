from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from face_analysis.errors import FeatureSetError, PackedFileError, UsageError
from face_analysis.matching.comparison import Comparison, compare
from face_analysis.matching.features.feature_set import open_feature_set
from face_analysis.matching.match import match
from face_analysis.matching.match_files import read_counts, write_counts
from face_analysis.matching.unfinished import UnfinishedMatch
from tests.matching.feature_sets import people

IDENTITY = {"probes": "a", "tail": 20}
Read = Callable[[], object]


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    folder = people(200, seed=1).write(tmp_path_factory.mktemp("sets") / "a")
    return compare(open_feature_set(folder), groups=["country"])


def unfinished(folder: Path, **identity: Any) -> UnfinishedMatch:
    found = UnfinishedMatch(folder, IDENTITY | identity, resume=True)
    found._next_save = 0
    return found


@pytest.fixture(params=["counts", "unfinished"])
def saved(
    request: pytest.FixtureRequest, comparison: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, Read]:
    """A file that a match wrote, and what reads it."""
    kept = unfinished(tmp_path)
    result = match(comparison, tail=20, memory=1e7, unfinished=kept)
    if request.param == "counts":
        write_counts(result, tmp_path)
        return tmp_path / "counts.npz", lambda: read_counts(tmp_path)
    return kept.path, lambda: unfinished(tmp_path).load(comparison, 20)


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def damages(whole: bytes) -> Iterator[tuple[str, bytes]]:
    """The bytes of a file damaged in many ways, each with its name; none can be read as it was."""
    for length in range(0, len(whole), max(100, len(whole) // 200)):
        yield f"cut at {length}", whole[:length]
    yield "another npz", npz(embeddings=np.zeros((3, 4)))
    yield "a single array", npz(a=1)[30:]
    yield "text", b"rows of a table, or anything"
    with np.load(io.BytesIO(whole)) as file:
        arrays = dict(file)
    for name, array in arrays.items():
        others = {other: value for other, value in arrays.items() if other != name}
        yield f"no {name}", npz(**others)
        yield f"{name} pickled", npz(**others, **{name: np.array([{}, None], object)})
        yield f"{name} of another shape", npz(**others, **{name: np.zeros((2, 3, 5, 7, 1))})
        if array.dtype.kind in "iu" and array.ndim:
            yield f"{name} of text", npz(**others, **{name: array.astype(str)})
    name = next(name for name in arrays if name in ("thresholds", "threshold_bins"))
    yield "too large a shape", with_header(whole, name, (1 << 60,))
    yield "a shape of terabytes", with_header(whole, name, (1 << 40,))
    yield "a pickle", pickle.dumps(arrays)


def with_header(whole: bytes, name: str, shape: tuple[int, ...]) -> bytes:
    """The file with an array whose header says another shape, though all checksums are right."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<i8", "fortran_order": False, "shape": shape})
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(file, "w") as new:
        for entry in old.namelist():
            new.writestr(entry, head.getvalue() + bytes(80) if entry == f"{name}.npy" else old.read(entry))
    return file.getvalue()


def test_a_damaged_file_is_named_with_what_to_do(saved: tuple[Path, Read]) -> None:
    path, read = saved
    for name, damaged in damages(path.read_bytes()):
        path.write_bytes(damaged)
        with pytest.raises(PackedFileError) as told:
            read()
        assert str(told.value).startswith(f"{path}: "), name
        assert str(told.value).endswith(("run match again", "start anew with --overwrite")), name


def test_a_changed_byte_is_found_or_changes_nothing(saved: tuple[Path, Read]) -> None:
    path, read = saved
    whole = path.read_bytes()
    expected = repr_of(read())
    places = [*range(0, len(whole), 17 + len(whole) // 250), *range(len(whole) - 400, len(whole), 3)]
    for place in places:
        for change in (0xFF, 0x04):
            damaged = bytearray(whole)
            damaged[place] ^= change
            path.write_bytes(damaged)
            try:
                found = read()
            except PackedFileError:
                continue
            except Exception as error:
                pytest.fail(f"byte {place} ^ {change}: {type(error).__name__}: {error}")
            assert repr_of(found) == expected, place


def repr_of(found: object) -> bytes:
    counts = found[0] if isinstance(found, tuple) else found
    return b"".join(np.asarray(getattr(counts, name)).tobytes() for name in ("by_member", "compared"))


def test_a_run_of_something_else_is_not_gone_on_with(comparison: Comparison, tmp_path: Path) -> None:
    kept = unfinished(tmp_path)
    match(comparison, tail=20, memory=1e7, unfinished=kept)
    with pytest.raises(UsageError, match="begun with other probes, tail"):
        unfinished(tmp_path, probes="b", tail=3).load(comparison, 3)
    begun = unfinished(tmp_path).load(comparison, 20)
    assert begun is not None
    with np.load(kept.path) as arrays:
        assert begun[1] == json.loads(str(arrays["state"]))["done"] >= 1


def test_embeddings_that_are_no_whole_array_are_named(tmp_path: Path) -> None:
    folder = people(20, seed=1).write(tmp_path / "set")
    path = folder / "embeddings.npy"
    whole = path.read_bytes()
    objects = io.BytesIO()
    np.save(objects, np.array([{}], object))
    others = [npz(a=np.zeros(3)), b"PK\x03\x04 and no more", pickle.dumps([1]), objects.getvalue()]
    for shape in ("(1 << 70, 4)", "(1180591620717411303424, 4)", "(-5, 256)", "(21, 256)", "20, (("):
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
        others.append(whole[:10] + header.encode() + whole[128:])
    for damaged in (*(whole[:length] for length in range(0, len(whole), 100)), *others):
        path.write_bytes(damaged)
        with pytest.raises(FeatureSetError, match=r"embeddings\.npy: "):
            open_feature_set(folder)
