from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from face_analysis.errors import OutputError, UsageError, WriteError
from face_analysis.files import hidden_name, remove_stale, whole_file
from face_analysis.outputs import claim_file, claim_folder, own_names, shortened

SUFFIXES = (".jpg", ".jpeg", ".png")

HOLDER = """
import sys
from pathlib import Path
from face_analysis.outputs import claim_file, claim_folder

claim = claim_folder if sys.argv[1] == "folder" else claim_file
with claim(Path(sys.argv[2]), overwrite=True):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(kind: str, path: Path) -> subprocess.Popen[str]:
    """Another process that holds the claim until its stdin ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, kind, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_second_run_says_which_process_writes_and_may_write_once_that_was_killed(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "out"
    first = holder(kind, path)
    claim = claim_folder if kind == "folder" else claim_file
    with pytest.raises(OutputError, match=f"another run is writing it .process {first.pid} on "), claim(path):
        pass
    first.kill()
    first.wait()
    with claim(path):
        pass
    assert [found.name for found in tmp_path.rglob("*") if found != path] == []


def test_another_thread_of_the_same_program_is_refused_too(tmp_path: Path) -> None:
    refused = []

    def other() -> None:
        try:
            with claim_folder(tmp_path / "out"):
                pass
        except OutputError as error:
            refused.append(str(error))

    with claim_folder(tmp_path / "out"):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(refused) == 1


def test_a_child_process_does_not_keep_the_claim_of_a_parent_that_ended(tmp_path: Path) -> None:
    code = HOLDER.replace(
        "sys.stdin.read()", "import os\n    if os.fork() == 0: sys.stdin.read()\n    os._exit(0)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, "folder", str(tmp_path / "out")],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    assert parent.wait() == 0
    with claim_folder(tmp_path / "out"):
        pass
    assert parent.stdin is not None
    parent.stdin.close()


def test_a_folder_with_anything_in_it_is_refused_unless_told_otherwise(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / ".index.csv.journal").write_text("{}")
    with (
        pytest.raises(OutputError, match=r"not empty \(\.index\.csv\.journal\).*--resume"),
        claim_folder(out, resume=False),
    ):
        pass
    with pytest.raises(OutputError, match=r"give --overwrite$"), claim_folder(out):
        pass
    for told in ({"overwrite": True}, {"resume": True}):
        with claim_folder(out, **told):
            pass
    assert (out / ".index.csv.journal").read_text() == "{}"


@pytest.mark.parametrize("place", ["photos", "photos/..", ".", "link", "photos/../photos/"])
def test_a_folder_that_is_or_holds_an_input_is_always_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"a")
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    for read in (tmp_path / "photos", tmp_path / "photos" / "a.jpg"):
        with (
            pytest.raises(OutputError, match="input"),
            claim_folder(tmp_path / place, [read], overwrite=True),
        ):
            pass


def test_pictures_may_not_go_into_a_folder_of_photos_but_tables_may(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "photos" / "out"
    photos.mkdir()
    with pytest.raises(OutputError, match="lies in the input"), claim_folder(out, [photos], pictures=True):
        pass
    with claim_folder(out, [photos]):
        pass


@pytest.mark.parametrize("taken", ["a.csv", "a.csv.yaml", "link"])
def test_a_file_that_is_there_is_refused_and_so_are_those_beside_it(tmp_path: Path, taken: str) -> None:
    path, beside = tmp_path / "a.csv", [tmp_path / "a.csv.yaml", tmp_path / "link"]
    (tmp_path / taken).symlink_to(tmp_path / "nowhere")  # even where what it links to is not there
    with pytest.raises(OutputError, match=f"{taken} exists already"), claim_file(path, beside=beside):
        pass
    with claim_file(path, beside=beside, overwrite=True):
        pass


def test_a_file_never_takes_the_place_of_an_input(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("path\n")
    (tmp_path / "b.csv").symlink_to(tmp_path / "a.csv")
    for output in (tmp_path / "a.csv", tmp_path / "b.csv"):
        with (
            pytest.raises(OutputError, match="place of an input"),
            claim_file(output, [tmp_path / "a.csv"], overwrite=True),
        ):
            pass
    with (
        pytest.raises(OutputError, match="place of an input"),
        claim_file(tmp_path / "c.csv", [tmp_path / "a.csv"], beside=[tmp_path / "a.csv"], overwrite=True),
    ):
        pass


def test_what_a_stopped_run_left_is_not_lost_unasked(tmp_path: Path) -> None:
    journal = tmp_path / ".a.csv.journal"
    journal.write_text("{}")
    with (
        pytest.raises(OutputError, match=r"a stopped run .*--resume"),
        claim_file(tmp_path / "a.csv", unfinished=journal, resume=False),
    ):
        pass
    assert journal.exists()


def test_overwrite_and_resume_contradict_each_other(tmp_path: Path) -> None:
    for claim in (claim_folder, claim_file):
        with pytest.raises(UsageError, match="give one"), claim(tmp_path / "a", overwrite=True, resume=True):
            pass


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "out" / ".lock").symlink_to(tmp_path / "precious")
    with pytest.raises(WriteError), claim_folder(tmp_path / "out"):
        pass
    assert (tmp_path / "precious").read_text() == "kept"


def killed_writer(path: Path) -> Path:
    """The hidden file that a killed process left of `path`."""
    code = (
        "import os, sys; from face_analysis.files import whole_file\n"
        "with whole_file(sys.argv[1]) as partial: partial.write_text('half'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    (left,) = path.parent.glob(".*.partial")
    return left


def test_half_written_files_of_killed_runs_go_and_those_of_others_stay(tmp_path: Path) -> None:
    out = tmp_path / "out"
    left = killed_writer(out / "deep" / "chip.jpg")
    foreign = [out / ".chip.jpg.123.partial", out / "deep" / ".a.partial", out / ".0123456789ab-mine.partial"]
    for path in foreign:
        path.write_text("kept")
    link = out / ".0123456789ab-01234567.partial"
    link.symlink_to(foreign[0])
    with whole_file(out / "living.txt") as living:
        living.write_text("whole")
        with claim_folder(out, resume=True):
            pass
    assert not left.exists()
    assert (out / "living.txt").read_text() == "whole"
    assert all(path.read_text() == "kept" for path in [*foreign, link])


def test_of_files_in_a_shared_folder_only_those_of_one_output_go(tmp_path: Path) -> None:
    mine, other = killed_writer(tmp_path / "a" / "mine.csv"), killed_writer(tmp_path / "b" / "other.csv")
    remove_stale([mine, other], "mine.csv")
    assert (mine.exists(), other.exists()) == (False, True)


def test_outputs_have_the_mode_that_the_user_asked_for(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with whole_file(tmp_path / "a") as partial:
            partial.write_text("")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


TEXTS = st.text(st.sampled_from("ab/.~0123_顔"), min_size=1, max_size=12).map(lambda text: f"{text}.jpg")
ALIKE = st.sampled_from(["x.jpg", "x.tif", "x.tif.png", "../x.jpg", "/x.jpg", "x~2.jpg", "x.jpg/x.jpg"])


@given(names=st.lists(TEXTS | ALIKE, max_size=12))
def test_every_picture_gets_a_name_of_its_own_inside_the_folder(names: list[str]) -> None:
    own = own_names(names, SUFFIXES, ".png")
    assert len(set(own)) == len(names)
    for name in own:
        path = PurePosixPath(name)
        assert path.suffix.lower() in SUFFIXES
        assert not path.is_absolute()
        assert ".." not in path.parts
        assert not set(map(str, path.parents)) & set(own)


def test_a_name_stays_as_it_is_where_it_can() -> None:
    names = ["a/x.jpg", "b/x.jpg", "x.jpg", "x.png", "x.tif"]
    assert own_names(names, SUFFIXES, ".png") == ["a/x.jpg", "b/x.jpg", "x.jpg", "x.png", "x.tif.png"]
    assert own_names(["x.tif", "x.tif.png", "/x.tif.png"], SUFFIXES, ".png") == [
        "x.tif.png",
        "x.tif~2.png",
        "x.tif~3.png",
    ]


def test_names_too_long_for_a_file_system_are_cut_and_stay_apart(tmp_path: Path) -> None:
    stem = "顔" * 84
    long = [f"{stem}{end}.jpg" for end in "abc"]
    cut = [shortened(name) for name in long]
    assert len(set(cut)) == 3
    for name in cut:
        (tmp_path / name).touch()
    assert shortened("顔" * 83 + ".jpg") == "顔" * 83 + ".jpg"
    (tmp_path / hidden_name("顔" * 83 + ".jpg", "journal")).touch()
