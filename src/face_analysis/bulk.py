"""The one runner for long jobs over photos: it can be stopped at any point, and resumed to the same end.

A job is a source of photos, a block function that analyses them, and a sink that keeps what was found. The
runner owns all else: progress, failures, what is done already, the settings of the run, and how it ends.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from face_analysis.errors import NoAnswerError, OutputError
from face_analysis.files import print_unused, write_csv, write_text
from face_analysis.journal import Journal, begun, check_same_run, journal_path
from face_analysis.json_files import write_json
from face_analysis.outputs import claim_file, claim_folder
from face_analysis.types import ImageFailure, Input, Photo

log = logging.getLogger(__name__)
BLOCK = 256
"""Photos after which what was found is kept for good. A block function may not let photos of two blocks
influence each other, so that a resumed run finds the same."""

Record = Mapping[str, Any]
BlockFunction = Callable[[Iterable[Input]], Iterator[Photo]]


class Sink(Protocol):
    """Keeps what is found in photos. A process may be killed at any point in it, and the run be resumed."""

    def open(self, photos: int, records: int) -> None:
        """Begin after so many photos and their records, which an earlier run kept; drop what it wrote beyond.

        After the last photo the files may be published already.
        """
        ...

    def write(self, row: int, photo: Photo) -> Iterable[Record]:
        """Take the photo of this row of the source; give the records of its faces for the journal."""
        ...

    def commit(self) -> None:
        """Hand to the system all that was written, before the journal counts it."""
        ...

    def publish(self, records: Iterable[Record]) -> None:
        """Give the files their names, the main one last. What an interrupted call did already is done."""
        ...

    def discard(self) -> None:
        """Remove what was written: the run has no result."""
        ...


@dataclass(frozen=True)
class Output:
    """Where a run writes: its `main` file, which is there when the run is whole, and files beside it.

    The names of files beside it begin with `prefix`; without one, the folder is the run's own.
    """

    main: Path
    prefix: str = ""

    @property
    def config(self) -> Path:
        """The options of the run, as YAML."""
        return self.main.with_name(f"{self.prefix}config.yaml")

    @property
    def errors(self) -> Path:
        """The photos that could not be used, with the reasons, as CSV."""
        return self.main.with_name(f"{self.prefix}errors.csv")

    @property
    def summary(self) -> Path:
        """What a finished run was of, and how it ended, as JSON."""
        return self.main.with_name(f"{self.prefix}run.json")

    def claim(
        self,
        inputs: Sequence[Path | None] = (),
        *,
        overwrite: bool = False,
        resume: bool = False,
        pictures: bool = False,
    ) -> AbstractContextManager[None]:
        """Let this process alone write here; see `claim_folder` and `claim_file`."""
        if not self.prefix:
            return claim_folder(
                self.main.parent, inputs, overwrite=overwrite, resume=resume, pictures=pictures
            )
        return claim_file(
            self.main,
            inputs,
            beside=(self.config, self.errors, self.summary),
            unfinished=journal_path(self.main),
            overwrite=overwrite,
            resume=resume,
        )

    def begun(self) -> dict[str, Any]:
        """The facts of the run that was stopped or is finished here; empty where there is none."""
        return begun(self.main) or self._finished().get("facts", {})

    def finished(self, facts: Mapping[str, Any]) -> Summary | None:
        """How the run of these facts ended; None where it has not ended.

        Raises UsageError where a run of other facts ended here, and OutputError where the main file is there,
        but not what it is of.
        """
        if journal_path(self.main).exists() or not self.main.exists():
            return None
        found = self._finished()
        if not found:
            raise OutputError(
                f"{self.main} is there, and {self.summary.name} does not say which run wrote it: choose "
                "another output, or give --overwrite"
            )
        check_same_run(found["facts"], facts, self.main.parent)
        failures = [ImageFailure(*values) for values in found["failures"]]
        return Summary(found["photos"], found["faces"], failures)

    def _finished(self) -> dict[str, Any]:
        try:
            found = json.loads(self.summary.read_text(encoding="utf-8"))
            return found if isinstance(found["facts"], dict) else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}


@dataclass
class Summary:
    """How many photos were looked at, how many faces have a result, and what could not be used."""

    photos: int = 0
    faces: int = 0
    failures: list[ImageFailure] = field(default_factory=list)

    def add(self, photo: Photo) -> None:
        """Count a photo."""
        self.photos += 1
        self.faces += len(photo.faces)
        if photo.unused is not None:
            self.failures.append(photo.unused)

    def check_answers(self) -> None:
        """Raise NoAnswerError where models had no answer for any of the faces that they were given."""
        failure = next((failure for failure in self.failures if failure.kind == "no answer"), None)
        if failure is not None and not self.faces:
            raise NoAnswerError(
                f"the model gave no usable numbers for any face, such as {failure.reason}; "
                "its weights are damaged, or it is given images in a form that it does not take"
            )

    @property
    def reasons(self) -> dict[str, str]:
        """Why photos could not be used, by their paths."""
        return {failure.path: failure.reason for failure in self.failures}

    @property
    def exit_code(self) -> int:
        """1 where a photo could not be read or a face has no answer, else 0: to show no face is no fault."""
        return 1 if any(failure.kind != "no face" for failure in self.failures) else 0

    def tell(self, errors: Path) -> None:
        """Say on stderr how many photos could not be used, and the first reasons."""
        if reasons := self.reasons:
            print_unused(len(reasons), reasons.items(), errors)


@dataclass(frozen=True)
class Job:
    """What a run does. `photos` gives the photos of a source of `count` from a row on.

    `facts` are all that the result depends on: the photos, the settings, and the content of the weights. A
    run is resumed with the same facts alone. `config` is the text of the configuration file.
    """

    name: str
    count: int
    photos: Callable[[int], Iterable[Input]]
    analyse: BlockFunction
    sink: Sink
    facts: Mapping[str, Any]
    config: str


def run_bulk(job: Job, output: Output, *, resume: bool = False) -> Summary:
    """Run a job to its end; the caller has claimed the output. A bar on stderr shows the photos.

    With `resume` a run that was stopped goes on, and one that is finished is not made again; files, counts
    and summary are those of a run that was never stopped. Raises UsageError where the run was begun with
    other facts, OutputError, WriteError, and NoAnswerError where there is no result.
    """
    facts = json.loads(json.dumps(job.facts))
    summary = output.finished(facts) if resume else None
    if summary is not None:
        log.info("%s: finished before, nothing is left to do", output.main)
        return summary
    with Journal(output.main, facts, resume=resume) as journal:
        write_text(output.config, job.config)
        summary = Summary(journal.done, *journal.kept())
        job.sink.open(journal.done, summary.faces)
        _analyse(job, journal, summary)
        try:
            summary.check_answers()
        except NoAnswerError:
            _write_errors(output, summary)
            job.sink.discard()
            journal.remove()
            raise
        _publish(job, output, journal, summary, facts)
        journal.remove()
    return summary


def _analyse(job: Job, journal: Journal, summary: Summary) -> None:
    """Analyse the photos that are not done, and keep what is found after every block."""
    found = job.analyse(job.photos(journal.done))
    bar = tqdm(found, desc=job.name, unit=" photos", total=job.count, initial=journal.done)
    for row, photo in enumerate(bar, journal.done):
        for record in job.sink.write(row, photo):
            journal.add(record)
        if photo.unused is not None:
            journal.add_failure(photo.unused)
        summary.add(photo)
        if (row + 1) % BLOCK == 0 or row + 1 == job.count:
            job.sink.commit()
            journal.mark(row + 1)


def _write_errors(output: Output, summary: Summary) -> None:
    """List the photos that could not be used, each once; where there are none, no list stays."""
    if reasons := summary.reasons:
        write_csv(output.errors, ("path", "reason"), reasons.items())
    else:
        output.errors.unlink(missing_ok=True)


def _publish(job: Job, output: Output, journal: Journal, summary: Summary, facts: Mapping[str, Any]) -> None:
    """Let the files appear. Every step may be done already by a run that was killed after it."""
    _write_errors(output, summary)
    job.sink.publish(journal.records())
    kinds = Counter(failure.kind for failure in summary.failures)
    counts = {"photos": summary.photos, "faces": summary.faces, "not_used": dict(sorted(kinds.items()))}
    write_json(
        output.summary, {**counts, "facts": facts, "failures": [list(one) for one in summary.failures]}
    )
