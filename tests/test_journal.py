from __future__ import annotations

import json
from pathlib import Path

import pytest

from face_analysis.errors import UsageError
from face_analysis.journal import Journal
from face_analysis.journal import begun as facts_of

IDENTITY = {"photos": "abc", "threshold": "0.7"}


def begun(output: Path) -> Path:
    """The journal of a run of 4 inputs in 2 blocks, and of a record of a third block."""
    with Journal(output, IDENTITY, resume=False) as journal:
        for block in range(2):
            journal.add({"path": f"a{block}"})
            journal.add({"path": f"ü{block}"})
            journal.mark(2 * block + 2)
        journal.add({"path": "lost"})
    return journal.path


def test_records_come_back_in_order_and_those_of_an_unmarked_block_do_not(tmp_path: Path) -> None:
    begun(tmp_path / "new" / "out.csv")
    with Journal(tmp_path / "new" / "out.csv", IDENTITY, resume=True) as journal:
        assert journal.done == 4
        assert [record["path"] for record in journal.records()] == ["a0", "ü0", "a1", "ü1"]


def test_a_journal_cut_at_any_byte_is_taken_up_at_its_last_whole_block(tmp_path: Path) -> None:
    whole = begun(tmp_path / "out.csv").read_bytes()
    lines = whole.splitlines(keepends=True)
    marks = {
        len(b"".join(lines[: end + 1])): int(line) for end, line in enumerate(lines) if line.strip().isdigit()
    }
    for size in range(len(whole) + 1):
        (tmp_path / ".out.csv.journal").write_bytes(whole[:size])
        with Journal(tmp_path / "out.csv", IDENTITY, resume=True) as journal:
            expected = max((done for end, done in marks.items() if end <= size), default=0)
            assert journal.done == expected
            assert len(list(journal.records())) == expected
            journal.add({"path": "next"})
            journal.mark(expected + 1)
            assert [record["path"] for record in journal.records()][expected:] == ["next"]


def test_without_resume_a_journal_starts_anew(tmp_path: Path) -> None:
    begun(tmp_path / "out.csv")
    with Journal(tmp_path / "out.csv", {"photos": "other"}, resume=False) as journal:
        assert (journal.done, list(journal.records())) == (0, [])


def test_a_journal_of_something_else_is_refused_and_stays(tmp_path: Path) -> None:
    path = begun(tmp_path / "out.csv")
    before = path.read_bytes()
    with pytest.raises(UsageError, match="begun with other threshold"):
        Journal(tmp_path / "out.csv", {**IDENTITY, "threshold": "0.5"}, resume=True)
    assert path.read_bytes() == before


def test_a_journal_of_more_than_is_asked_for_now_is_refused(tmp_path: Path) -> None:
    begun(tmp_path / "out.csv")
    with pytest.raises(UsageError, match="begun with other threshold"):
        Journal(tmp_path / "out.csv", {"photos": "abc"}, resume=True)


def test_a_finished_run_leaves_no_journal(tmp_path: Path) -> None:
    path = begun(tmp_path / "out.csv")
    with Journal(tmp_path / "out.csv", IDENTITY, resume=True) as journal:
        journal.remove()
    assert not path.exists()


def test_the_first_line_says_what_the_run_is_of(tmp_path: Path) -> None:
    assert json.loads(begun(tmp_path / "out.csv").read_text().splitlines()[0]) == IDENTITY


def test_a_journal_tells_what_it_is_of_without_being_taken_up(tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    assert facts_of(output) == {}
    path = begun(output)
    before = path.read_bytes()
    assert facts_of(output) == IDENTITY
    assert path.read_bytes() == before
    for broken in (b"", b'{"photos": "a', b"[1]\n", b"\xff\n"):
        path.write_bytes(broken)
        assert facts_of(output) == {}
