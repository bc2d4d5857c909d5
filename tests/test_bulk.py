"""Every sink of the runner, killed at every step that it takes on the disk, and resumed."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from face_analysis import bulk
from face_analysis.bulk import Job, Output, Summary, run_bulk
from face_analysis.datasets.predictions.files import PredictionColumns
from face_analysis.datasets.sources import ImageSource, names_sha256, open_source
from face_analysis.errors import NoAnswerError, OutputError, UsageError
from face_analysis.files import whole_file
from face_analysis.images.chips import ChipMaker
from face_analysis.inference import pipeline
from face_analysis.inference.align import ChipSink
from face_analysis.inference.extract import FeatureSink
from face_analysis.inference.pipeline import FaceBlock, inputs
from face_analysis.inference.predict import PredictionSink
from face_analysis.journal import Journal
from face_analysis.outputs import claim_folder
from face_analysis.types import AgeEstimate, Image, Input, Photo

PHOTOS, SMALL_BLOCK = 11, 4


@dataclass
class Means:
    """Says of a chip what its mean is; has no answer for a dark one."""

    asked: list[int] = field(default_factory=list)

    def answers(self, chips: Sequence[Image]) -> list[Mapping[str, Any] | str]:
        self.asked.append(len(chips))
        return [self._answer(float(chip.mean())) for chip in chips]

    def _answer(self, mean: float) -> Mapping[str, Any] | str:
        if mean < 40:
            return "too dark"
        return {"age": AgeEstimate(mean, int(mean)), "embedding": np.array([mean, 1, -mean], np.float32)}


@dataclass(frozen=True)
class Kind:
    """A kind of job: the main file of its output, the prefix of the files beside it, and its sink."""

    main: str
    prefix: str
    sink: Callable[[Path, ImageSource], bulk.Sink]

    def output(self, folder: Path) -> Output:
        return Output(folder / self.main, self.prefix)

    def job(self, folder: Path, source: ImageSource, model: Means, weights: str = "a") -> Job:
        return Job(
            "test",
            len(source),
            partial(inputs, source),
            FaceBlock(ChipMaker(), (model,), 3, 2, keep_chips=True),
            self.sink(folder, source),
            {"photos": names_sha256(source), "model": weights},
            "options: some\n",
        )


def predictions(folder: Path, source: ImageSource) -> PredictionSink:
    def annotate(row: int, photo: Photo) -> None:
        with whole_file(folder / "copies" / f"{row}.txt") as partial:
            partial.write_text(photo.path)

    return PredictionSink(folder / "p_out.csv", "csv", PredictionColumns(("age",)), source, annotate)


KINDS = {
    "predictions": Kind("p_out.csv", "p_", predictions),
    "feature set": Kind("index.csv", "", lambda folder, source: FeatureSink(folder, source, 3, "set")),
    "original features": Kind(
        "index.csv", "", lambda folder, source: FeatureSink(folder, source, 3, "original")
    ),
    "chips": Kind("chips.csv", "", lambda folder, source: ChipSink(folder, source, 95, numbered=False)),
}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImageSource:
    """Small pictures of which one is broken and one is too dark for the model, in blocks of four."""
    monkeypatch.setattr(bulk, "BLOCK", SMALL_BLOCK)
    monkeypatch.setattr(pipeline, "BLOCK", SMALL_BLOCK)
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(PHOTOS):
        value = 10 if number == 6 else 60 + 10 * number
        Pillow.new("RGB", (20, 20), (value, value, value)).save(folder / f"{number:02d}.png")
    (folder / "02.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return open_source(folder, None)


def run(
    kind: Kind, folder: Path, source: ImageSource, *, resume: bool = False, weights: str = "a"
) -> tuple[Summary, Means]:
    model = Means()
    output = kind.output(folder)
    copies = claim_folder(folder / "copies", resume=resume) if kind.prefix else nullcontext()
    with output.claim(resume=resume), copies:
        return run_bulk(kind.job(folder, source, model, weights), output, resume=resume), model


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


STEPS = ("open", "os.rename", "os.remove", "os.truncate", "os.mkdir")


def killed_at(step: int, folder: Path, work: Callable[[], object]) -> bool:
    """Do the work in a forked process that is killed before its `step`-th change below `folder`.

    Half of what the journal writes at that step is on the disk then. False where the work came to its end.
    """
    child = os.fork()
    if child == 0:
        left = step

        def take_step(half: Callable[[], object] = lambda: None) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                half()
                os.kill(os.getpid(), signal.SIGKILL)

        def audit(event: str, arguments: tuple[Any, ...]) -> None:
            reads = event == "open" and not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if event in STEPS and not reads and str(folder) in str(arguments[0]):
                take_step()

        put = Journal._put

        def put_or_die(journal: Journal, lines: list[str]) -> None:
            def half() -> None:
                data = "".join(f"{line}\n" for line in lines).encode()
                journal._file.write(data[: len(data) // 2])
                journal._file.flush()

            take_step(half)
            put(journal, lines)

        try:
            sys.addaudithook(audit)
            Journal._put = put_or_die  # type: ignore[method-assign]
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status != 0


@pytest.mark.slow
@each_kind
def test_a_run_killed_at_any_step_and_resumed_ends_as_one_that_was_not(
    kind: Kind, source: ImageSource, tmp_path: Path
) -> None:
    expected, model = run(kind, tmp_path / "whole", source)
    assert (expected.photos, expected.faces, expected.exit_code) == (PHOTOS, PHOTOS - 2, 1)
    assert [failure.kind for failure in expected.failures] == ["unreadable", "no answer"]
    whole, steps = tree(tmp_path / "whole"), 0
    while True:
        steps += 1
        folder = tmp_path / f"killed{steps}"
        if not killed_at(steps, folder, lambda folder=folder: run(kind, folder, source)):  # type: ignore[misc]
            break
        # The resumed run is killed too, before it is resumed a second time.
        killed_at(steps // 2 + 1, folder, lambda folder=folder: run(kind, folder, source, resume=True))  # type: ignore[misc]
        found, _ = run(kind, folder, source, resume=True)
        assert tree(folder) == whole, f"killed at step {steps}"
        assert found == expected
    assert steps > 20
    assert sum(model.asked) == PHOTOS - 1


@each_kind
def test_a_finished_run_is_not_made_again_and_ends_with_the_same_status(
    kind: Kind, source: ImageSource, tmp_path: Path
) -> None:
    expected, _ = run(kind, tmp_path / "out", source)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()}
    found, model = run(kind, tmp_path / "out", source, resume=True)
    assert (found, model.asked) == (expected, [])
    assert before == {path: path.stat().st_mtime_ns for path in before}


@each_kind
@pytest.mark.parametrize("finished", [True, False])
def test_a_run_is_not_resumed_with_other_weights(
    kind: Kind, source: ImageSource, tmp_path: Path, finished: bool
) -> None:
    folder = tmp_path / "out"
    if finished:
        run(kind, folder, source)
    else:
        assert killed_at(12, folder, lambda: run(kind, folder, source))
    before = tree(folder)
    with pytest.raises(UsageError, match="begun with other model;"):
        run(kind, folder, source, resume=True, weights="b")
    assert {name: data for name, data in tree(folder).items() if not name.endswith("lock")} == {
        name: data for name, data in before.items() if not name.endswith((".partial", "lock"))
    }


@each_kind
def test_two_runs_at_once_are_told_apart_and_the_first_ends_well(
    kind: Kind, source: ImageSource, tmp_path: Path
) -> None:
    expected, _ = run(kind, tmp_path / "whole", source)
    folder, output = tmp_path / "out", kind.output(tmp_path / "out")
    job = kind.job(folder, source, Means())
    refused = []

    def disturbed(photos: Iterable[Input]) -> Iterator[Photo]:
        for photo in job.analyse(photos):
            for resume in (True, False):
                with pytest.raises(OutputError, match="writing it"):
                    run(kind, folder, source, resume=resume)
                refused.append(resume)
            yield photo

    with output.claim():
        found = run_bulk(Job(**{**vars(job), "analyse": disturbed}), output)
    assert (found, len(refused)) == (expected, 2 * PHOTOS)
    assert tree(folder) == tree(tmp_path / "whole")


@each_kind
def test_files_that_the_run_did_not_make_stay(kind: Kind, source: ImageSource, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert killed_at(9, folder, lambda: run(kind, folder, source))
    foreign = [
        folder / name for name in (".x.partial", ".index.csv.abc.partial", "own.txt", ".other.journal")
    ]
    foreign.append(folder / "sub" / ".y.partial")
    for path in foreign:
        path.parent.mkdir(exist_ok=True)
        path.write_text(path.name)
    run(kind, folder, source, resume=True)
    assert [path.read_text() for path in foreign] == [path.name for path in foreign]


@each_kind
def test_hidden_names_are_not_followed_as_links(kind: Kind, source: ImageSource, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder = tmp_path / "out"
    folder.mkdir()
    for name in (f".{kind.main}.journal", ".embeddings.npy.unfinished"):
        (folder / name).symlink_to(victim)
    output = kind.output(folder)
    with pytest.raises(Exception, match=r"symbolic link|stopped run"), output.claim(overwrite=True):
        run_bulk(kind.job(folder, source, Means()), output)
    assert victim.read_text() == "precious"


def test_a_model_without_any_answer_leaves_no_result(source: ImageSource, tmp_path: Path) -> None:
    class Silent(Means):
        def _answer(self, mean: float) -> str:
            return "nothing"

    for name, kind in KINDS.items():
        folder = tmp_path / name
        output = kind.output(folder)
        with pytest.raises(NoAnswerError, match=r"00\.png: nothing"), output.claim():
            run_bulk(kind.job(folder, source, Silent()), output)
        left = {Path(path).name for path in tree(folder)} - {f"{number}.txt" for number in range(PHOTOS)}
        assert left == {f"{kind.prefix}config.yaml", f"{kind.prefix}errors.csv"}


def test_a_result_that_does_not_say_what_it_is_of_is_not_resumed(source: ImageSource, tmp_path: Path) -> None:
    kind = KINDS["chips"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "chips.csv").write_text("mine")
    with pytest.raises(OutputError, match="does not say which run wrote it"):
        run(kind, tmp_path / "out", source, resume=True)
    assert tree(tmp_path / "out") == {"chips.csv": b"mine"}


@pytest.mark.parametrize("size", [0, 5])
def test_embeddings_that_are_gone_are_not_made_up(source: ImageSource, tmp_path: Path, size: int) -> None:
    kind, step = KINDS["feature set"], 1
    folder = tmp_path / "1"
    while b"\n4\n" not in tree(folder).get(".index.csv.journal", b""):
        folder = tmp_path / str(step)
        assert killed_at(step, folder, lambda: run(kind, folder, source))  # noqa: B023
        step += 1
    os.truncate(folder / ".embeddings.npy.unfinished", size)
    with pytest.raises(UsageError, match="gone; give --overwrite"):
        run(kind, folder, source, resume=True)
