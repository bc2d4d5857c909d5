from __future__ import annotations

import io
import os
import pickle
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from face_analysis.datasets.pairs.bins import BinSource, read_bin
from face_analysis.datasets.pairs.pickle_sizes import check_sizes
from face_analysis.errors import MissingFileError, PackedFileError
from tests.datasets.record_files import MAGIC

ENCODED = [b"\xff\xd8\n'\\first", b"\x00second" * 40, b"third\xfe" * 12_000, b"\xff\xd8\n'\\first"]


def written(folder: Path, data: bytes) -> Path:
    path = folder / "set.bin"
    path.write_bytes(data)
    return path


def assert_read(path: Path) -> None:
    images, same = read_bin(path)
    assert images == ENCODED
    assert same.tolist() == [True, False]
    assert same.dtype == np.bool_


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("as_array", [False, True])
@pytest.mark.parametrize(
    "same",
    [
        [True, False],
        (1, 0),
        [np.True_, np.False_],
        np.array([True, False]),
        np.array([1, 0], np.uint8),
    ],
    ids=["bool", "int", "numpy", "array", "bytes"],
)
def test_pickles_of_python_3_are_read(tmp_path: Path, protocol: int, as_array: bool, same: Any) -> None:
    images = [np.frombuffer(one, np.uint8).copy() for one in ENCODED] if as_array else ENCODED
    assert_read(written(tmp_path, pickle.dumps((images, same), protocol)))


def short(text: bytes) -> bytes:
    return b"U" + struct.pack("<B", len(text)) + text


PYTHON_2 = {
    "protocol 0": b"((lp1\n%ba(lp6\nI01\naI00\natp7\n."
    % b"a".join(
        b"S'%b'\np%d\n" % (b"".join(b"\\x%02x" % byte for byte in one), number)
        for number, one in enumerate(ENCODED, 2)
    ),
    "protocol 2": b"\x80\x02]q\x01(%be]q\x02(\x88\x89e\x86q\x03."
    % b"".join(b"T" + struct.pack("<i", len(one)) + one for one in ENCODED),
    "protocol 2 with an array of NumPy": b"\x80\x02](%be"
    % b"".join(b"T" + struct.pack("<i", len(one)) + one for one in ENCODED)
    + b"cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85"
    + short(b"b")
    + b"\x87Rq\x03(K\x01K\x02\x85cnumpy\ndtype\nq\x04("
    + short(b"b1")
    + b"K\x00K\x01tRq\x05(K\x03"
    + short(b"|")
    + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
    + short(b"\x01\x00")
    + b"tb\x86.",
}


@pytest.mark.parametrize("form", PYTHON_2)
def test_pickles_of_python_2_are_read(tmp_path: Path, form: str) -> None:
    assert_read(written(tmp_path, PYTHON_2[form]))


class Attack:
    """Asks to be rebuilt by a call."""

    def __init__(self, *reduced: Any) -> None:
        self.reduced = reduced

    def __reduce__(self) -> Any:
        return self.reduced


def attacks(marker: Path) -> dict[str, Any]:
    """Objects whose free unpickling makes the file `marker`."""
    command = f"touch {marker}"
    code = f"open({str(marker)!r}, 'w')"
    return {
        "system": Attack(os.system, (command,)),
        "eval": Attack(eval, (code,)),
        "exec": Attack(exec, (code,)),
        "open": Attack(open, (str(marker), "w")),
        "getattr": Attack(getattr, (Attack(__import__, ("os",)), "system")),
        "nested": Attack(map, (os.system, [command])),
        "state": Attack(Attack, (), {"a": Attack(os.system, (command,))}),
        "setstate": Attack(np.ndarray, ((0,),), Attack(os.system, (command,))),
        "items": Attack(list, (), None, iter([Attack(os.system, (command,))])),
        "numpy": Attack(np.fromfile, (str(marker),)),
        "type": Attack(np.dtype, (Attack(eval, (code,)),)),
    }


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", attacks(Path("marker")))
@pytest.mark.parametrize("place", ["alone", "image", "same"])
def test_pickles_that_would_run_code_are_refused_and_run_nothing(
    tmp_path: Path, protocol: int, name: str, place: str
) -> None:
    attack = attacks(tmp_path / "marker")[name]
    whole = {"alone": attack, "image": ([b"a", attack], [True]), "same": ([b"a", b"b"], [attack])}[place]
    with pytest.raises(PackedFileError, match=r"set\.bin: no verification set"):
        read_bin(written(tmp_path, pickle.dumps(whole, protocol)))
    assert [file.name for file in tmp_path.iterdir()] == ["set.bin"]


@pytest.mark.parametrize(
    "data",
    [
        b"(S'touch marker'\nios\nsystem\n.",
        b"(cos\nsystem\nS'touch marker'\no.",
        b"cos\nsystem\n(S'touch marker'\nt\x81.",
        b"\x82\x01.",
        b"Pname\n.",
        b"cnumpy\nndarray\nN}S'a'\ncos\nsystem\ns\x86b.",
        b"cbuiltins\neval\n.",
        b"\x8c\x02os\x8c\x06system\x93.",
        b"cnumpy\n\n.",
    ],
)
def test_rare_opcodes_lead_nowhere(tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PackedFileError):
        read_bin(written(tmp_path, data))
    assert [file.name for file in tmp_path.iterdir()] == ["set.bin"]


def deep(count: int) -> bytes:
    """A tuple of tuples, each twice in the next: to print, compare or hash it takes 2 ** count steps."""
    return b")q\x00" + b"h\x00h\x00\x86q\x00" * count


NUMPY = b"cnumpy.core.multiarray\n_reconstruct\n"
FILLS_MEMORY = {
    "bytes": b"B\xff\xff\xff\xff.",
    "many bytes": b"\x8e" + struct.pack("<Q", 2**40) + b".",
    "text": b"\x8d" + struct.pack("<Q", 2**40) + b".",
    "bytearray": b"\x96" + struct.pack("<Q", 2**36) + b".",
    "string of Python 2": b"T\xff\xff\xff\x7f.",
    "frame": b"\x95" + struct.pack("<Q", 2**40) + b".",
    "memo": b"Nr\xff\xff\xff\x0f.",
    "memo as text": b"Np268435455\n.",
    "array": NUMPY + b"(cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85U\x01btR.",
    "buffer": b"cnumpy.core.numeric\n_frombuffer\n(J\xff\xff\xff\x7fNNNtR.",
    "copies": b"(X\x00\x00\x10\x00" + bytes(2**20) + b"q\x00"
    + b"c_codecs\nencode\nh\x00X\x06\x00\x00\x00latin1\x86R" * 500 + b"t.",
    "copied buffers": b"(\x96" + struct.pack("<Q", 2**20) + bytes(2**20) + b"q\x00"
    + b"cnumpy.core.numeric\n_frombuffer\n(h\x00NJ\x00\x00\x10\x00\x85NtR" * 500 + b"t.",
}  # fmt: skip


@pytest.mark.parametrize("claim", FILLS_MEMORY)
def test_a_small_file_cannot_take_much_memory(tmp_path: Path, claim: str) -> None:
    path = written(tmp_path, FILLS_MEMORY[claim])
    tracemalloc.start()
    try:
        with pytest.raises(PackedFileError):
            read_bin(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20 + 5 * path.stat().st_size
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "tail",
    [
        b".",
        b"]\x86.",
        b"N\x86.",
        b"}h\x00Ns.",
        b"\x8f(h\x00\x90.",
        NUMPY + b")R(Nh\x00NNU\x01atb.",
        b"cnumpy\ndtype\nh\x00\x85R.",
        b"c_codecs\nencode\nX\x01\x00\x00\x00ah\x00\x86R.",
        b"h\x00\x93.",
    ],
)
def test_values_that_take_for_ever_to_look_at_are_not_looked_at(tmp_path: Path, tail: bytes) -> None:
    path = written(tmp_path, deep(200) + tail)
    with pytest.raises(PackedFileError):
        read_bin(path)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (([b"a", b"b", b"c"], [True]), "3 images do not make 1 pairs"),
        (([b"a", b"b"], [True, False]), "2 images do not make 2 pairs"),
        (([], []), "0 images do not make 0 pairs"),
        (([b"a", "b"], [True]), "expected encoded images, found str"),
        (([b"a", b"b"], [2]), "expected true or false"),
        (([b"a", b"b"], [None]), "expected true or false"),
        (([b"a", b"b"], None), "expected a list"),
        ([b"a", b"b"], "expected a list"),
        (([np.zeros((2, 2, 3), np.uint8)] * 2, [True]), "one dimension"),
        (([np.zeros(4, np.float32)] * 2, [True]), "neither booleans nor bytes"),
        (({"a": 1}, [True]), "no pickle of plain values"),
        (5, "unpack"),
    ],
)
def test_other_values_are_refused_with_what_is_wrong(tmp_path: Path, value: Any, reason: str) -> None:
    path = written(tmp_path, pickle.dumps(value))
    with pytest.raises(PackedFileError, match=rf"set\.bin: no verification set, or damaged \(.*{reason}"):
        read_bin(path)


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = pickle.dumps(([b"first", b"second"], [True]))
    for size in range(len(whole)):
        with pytest.raises(PackedFileError):
            read_bin(written(tmp_path, whole[:size]))
    with pytest.raises(MissingFileError, match=r"none\.bin"):
        read_bin(tmp_path / "none.bin")


@pytest.mark.parametrize("make", [pickle.dumps, lambda value: pickle.dumps(value, 0)])
def test_sizes_of_whole_pickles_pass(make: Callable[[Any], bytes]) -> None:
    check_sizes(io.BytesIO(make([(b"a" * 300, True, None, [1, -1, 70_000]), "text\n", ()] * 300)))


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"\x93NUMPY",
        b"PK\3\4",
        MAGIC,
        b"\xff\xd8\xff",
        b"\x80\x05K",
        b"I",
        b"cos\n",
        b"\x80\x04\x95",
        b"B",
    ],
    ids=["zeros", "array", "zip", "records", "JPEG", "pickle", "line", "call", "frame", "bytes"],
)
def test_a_large_file_of_another_kind_is_refused_before_it_is_read(tmp_path: Path, start: bytes) -> None:
    path = written(tmp_path, start)
    with path.open("r+b") as file:
        file.seek(2**28)
        file.write(b"\x01.")
    tracemalloc.start()
    try:
        with pytest.raises(PackedFileError, match=r"set\.bin: no verification set"):
            read_bin(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_each_image_is_there_once_and_pairs_are_its_rows(tmp_path: Path) -> None:
    images = [b"a", b"b", b"b", b"c", b"a", b"c", b"d", b"a"]
    source = BinSource(written(tmp_path, pickle.dumps((images, [True, False, True, False]))))
    assert [source.read(row) for row in range(len(source))] == [b"a", b"b", b"c", b"d"]
    assert [source.name(row) for row in range(4)] == ["set.bin[0]", "set.bin[1]", "set.bin[3]", "set.bin[6]"]
    pairs = source.pairs
    made = [source.read(row) for pair in zip(pairs.first, pairs.second, strict=True) for row in pair]
    assert made == images
    assert pairs.same.tolist() == [True, False, True, False]
    assert (source.labels, source.read_mask(0), source.origin) == ({}, None, tmp_path / "set.bin")


@pytest.mark.faces
def test_the_real_file_is_read(faces_data: Path) -> None:
    path = faces_data / "cfp" / "cfp_fp.bin"
    images, same = read_bin(path)
    expected, truths = pickle.loads(path.read_bytes())  # a file of the project's own
    assert images == expected
    assert same.tolist() == truths
    assert same.reshape(2, 2, 350).all(axis=2).tolist() == [[True, False]] * 2
