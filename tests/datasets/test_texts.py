from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_analysis.datasets.lists.texts import Texts

ANY_TEXT = st.text(st.characters(exclude_categories=()))
"""With lone surrogates, which stand for bytes of file names that are not UTF-8."""


@given(st.lists(ANY_TEXT), st.slices(12), ANY_TEXT)
def test_it_is_as_a_list_of_the_same_strings(texts: list[str], part: slice, other: str) -> None:
    found = Texts(texts)
    assert list(found) == texts
    assert [found[row] for row in range(len(texts))] == texts
    assert [found[-row] for row in range(1, len(texts) + 1)] == texts[::-1]
    assert found[part] == texts[part]
    assert (found == texts, texts == found, found == Texts(texts)) == (True, True, True)
    assert (found == [*texts, other], found == [other, *texts[1:]]) == (False, [other, *texts[1:]] == texts)
    assert (other in found, found.count(other)) == (other in texts, texts.count(other))
    assert pickle.loads(pickle.dumps(found)) == texts


@pytest.mark.parametrize("row", [3, -4])
def test_a_row_beyond_the_end_is_an_index_error(row: int) -> None:
    with pytest.raises(IndexError):
        Texts(["a", "", "b"])[row]


def test_bytes_of_names_that_are_not_utf_8_come_back() -> None:
    names = [os.fsdecode(b"caf\xe9.jpg"), "café.jpg"]
    assert [os.fsencode(name) for name in Texts(names)] == [b"caf\xe9.jpg", "café.jpg".encode()]


def private_bytes() -> int:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


def copied_by_reading(texts: list[str] | Texts) -> int:
    """How many bytes a forked process gets copies of while it reads every string."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        before = private_bytes()
        for row in range(len(texts)):
            len(texts[row])
        os.write(writer, str(private_bytes() - before).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as file:
        return int(file.read())


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="Linux tells what a process shares")
def test_a_forked_process_that_reads_all_gets_no_copy() -> None:
    names = [f"people/{row % 1000:06d}/image_{row:07d}.jpg" for row in range(200_000)]
    assert copied_by_reading(Texts(names)) < 2**20
    assert copied_by_reading(names) > 8 * 2**20
