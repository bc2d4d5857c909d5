"""`face-analysis search`: the gallery's faces most like each probe."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from face_analysis import __version__
from face_analysis.cli.match import GIGABYTE, side_facts
from face_analysis.cli.parser import parse
from face_analysis.errors import UsageError
from face_analysis.extras import require
from face_analysis.files import FailureLog, write_text
from face_analysis.options import Opt, Range, to_yaml
from face_analysis.outputs import Overwrite, Resume, claim_folder

if TYPE_CHECKING:
    from face_analysis.evaluation.identification import Outcomes
    from face_analysis.journal import Journal
    from face_analysis.matching.comparison import Comparison
    from face_analysis.matching.faiss_index import FaissIndex
    from face_analysis.matching.search import SearchSides


FACES: tuple[Literal["largest", "all"], ...] = ("largest", "all")
"""Which faces of photos are searched for, and which are searched."""


@dataclass(frozen=True)
class SearchOptions:
    """The options of `search`."""

    probes: Annotated[Path, Opt("faces to look for: a feature set, a photo or a folder", positional=True)]
    gallery: Annotated[Path, Opt("faces to look in: a feature set or a folder of photos", positional=True)]
    output: Annotated[Path, Opt("folder for candidates and measures", "-o")]
    top: Annotated[int, Opt("candidates of a probe"), Range(low=1)] = 10
    threshold: Annotated[float | None, Opt("score from which a candidate is accepted"), Range(-1, 1)] = None
    card: Annotated[Path | None, Opt("in its place: threshold.json of a match")] = None
    subject: Annotated[
        str | None,
        Opt("column of the index, or a rule for paths: folder, original, CHIYA, CHIYA_VAL, PUBLIC_IVS"),
    ] = None
    subject_pattern: Annotated[
        str | None, Opt("regular expression whose one group, found in the path, is the subject")
    ] = None
    index: Annotated[Literal["exact", "faiss"], Opt("look at all rows, or at the likeliest lists")] = "exact"
    lists: Annotated[
        int | None, Opt("lists of the faiss index (default: by the gallery's size)"), Range(low=1)
    ] = None
    nprobe: Annotated[int, Opt("lists that faiss looks into for a probe"), Range(low=1)] = 32
    model: Annotated[
        str, Opt("model of embeddings for photos: sface, a .safetensors file of recognition, or .onnx", "-m")
    ] = "sface"
    memory: Annotated[
        float, Opt("GB for a block, or faiss's gallery, beside Python's and torch's 0.3"), Range(over=0)
    ] = 1
    resume: Resume = False
    overwrite: Overwrite = False


def main(arguments: Sequence[str]) -> int:
    """Exit status 0, or 1 where rows are no embeddings; measures, if subjects are known, go to stdout."""
    options = parse("search", SearchOptions, arguments)
    threshold = _threshold(options)
    from face_analysis.journal import Journal
    from face_analysis.matching.candidates import candidate_rows, outcomes_of, write_candidates
    from face_analysis.matching.faiss_index import faiss_module

    if options.index == "faiss":
        faiss_module()
    sides = _sides(options)
    comparison, index = sides.comparison, _index(options, sides.comparison)
    facts = _facts(options, comparison, index)
    path = options.output / "candidates.csv"
    read = (options.probes, options.gallery, options.card)
    claim = claim_folder(options.output, read, overwrite=options.overwrite, resume=options.resume)
    with claim, Journal(path, facts, resume=options.resume) as journal:
        write_text(options.output / "config.yaml", to_yaml(options))
        failures = FailureLog(options.output / "errors.csv")
        failures.add(comparison.failures)
        _search(options, comparison, index, journal)
        write_candidates(path, comparison, journal.records(), sides.subjects, threshold)
        if comparison.probes.features.folder is None:
            _print_candidates(candidate_rows(comparison, journal.records(), sides.subjects, threshold))
        outcomes = outcomes_of(comparison, journal.records())
        command = shlex.join(["face-analysis", "search", *arguments])
        about = {"version": __version__, "command": command, **facts, "threshold": threshold}
        if index is not None and not index.exact:
            about |= index.recall(options.top, options.memory * GIGABYTE)
        _finish(options.output, sides, outcomes, about)
        journal.remove()
    return failures.report()


def _threshold(options: SearchOptions) -> float | None:
    if options.threshold is not None and options.card is not None:
        raise UsageError("give --threshold or --card, not both")
    from face_analysis.matching.thresholds import read_threshold

    return options.threshold if options.card is None else read_threshold(options.card)


def _sides(options: SearchOptions) -> SearchSides:
    from face_analysis.matching.features.feature_set import (
        LABEL,
        SUBJECT,
        is_feature_set,
        open_feature_set,
    )
    from face_analysis.matching.search import search_sides

    columns = {SUBJECT, LABEL, options.subject or SUBJECT}
    given = (options.probes, options.gallery)
    if not all(map(is_feature_set, given)):
        from face_analysis.inference.analyzer import FaceAnalyzer
    # A photo to search for is mostly one of a person, with others behind; they may be anywhere in a gallery.
    probes, gallery = (
        open_feature_set(path, columns)
        if is_feature_set(path)
        else FaceAnalyzer(None, embeddings=options.model, faces=which).features(path)
        for path, which in zip(given, FACES, strict=True)
    )
    sides = search_sides(probes, gallery, options.subject, options.subject_pattern)
    if not sides.unknown:
        require("reports", "`face-analysis search` of known people, which it measures,")
    if sides.unknown and probes.folder is not None:
        logging.warning("no measures of identification: %s", sides.unknown)
    return sides


def _print_candidates(rows: Iterator[tuple[object, ...]]) -> None:
    """The candidates of each photo that was searched for, a line each."""
    for probe, rank, score, found, subject, accepted in rows:
        words = [
            f"{probe}: {rank}. {found}",
            str(subject) if subject else "",
            f"score {float(str(score)):.4f}",
        ]
        if accepted is not None:
            words.append("accepted" if accepted else "not accepted")
        print(", ".join(word for word in words if word))


def _index(options: SearchOptions, comparison: Comparison) -> FaissIndex | None:
    if options.index == "exact":
        return None
    from face_analysis.matching.faiss_index import FaissIndex

    return FaissIndex(comparison, options.lists, options.nprobe, options.memory * GIGABYTE)


def _facts(options: SearchOptions, comparison: Comparison, index: FaissIndex | None) -> dict[str, Any]:
    """What is searched, and how."""
    return {
        "probes": side_facts(comparison.probes),
        "gallery": side_facts(comparison.gallery),
        "subject": options.subject,
        "subject_pattern": options.subject_pattern,
        "top": options.top,
        "exact": index is None or index.exact,
        "faiss": None if index is None else {"lists": index.lists, "looked_into": index.looked_into},
    }


def _search(
    options: SearchOptions, comparison: Comparison, index: FaissIndex | None, journal: Journal
) -> None:
    import numpy as np
    from tqdm import tqdm

    from face_analysis.matching.candidates import records_of
    from face_analysis.matching.search import search

    probes = np.arange(journal.done, len(comparison.probes))
    if index is None:
        found = search(comparison, probes, options.top, options.memory * GIGABYTE)
    else:
        found = index.search(probes, options.top)
    with tqdm(total=len(comparison.probes), unit=" probes", desc="search", initial=journal.done) as bar:
        for candidates in found:
            for record in records_of(candidates):
                journal.add(record)
            journal.mark(journal.done + len(candidates))
            bar.update(len(candidates))


def _finish(folder: Path, sides: SearchSides, outcomes: Outcomes, about: dict[str, Any]) -> None:
    """Print the measures, and write them with `search.json`, which is `about` and what was measured."""
    from face_analysis.evaluation.identification import identification_report
    from face_analysis.json_files import write_json
    from face_analysis.reports.identification import (
        identification_tables,
        write_identification,
    )

    threshold, faiss = about["threshold"], about["faiss"]
    print(f"{len(sides.comparison.probes)} probes, {len(sides.comparison.gallery)} rows of the gallery")
    if not about["exact"]:
        print(
            f"not exact: {faiss['looked_into']} of {faiss['lists']} lists are looked into; of the exact "
            f"candidates of {about['recall_probes']} probes {100 * about['recall']:.2f} % are found"
        )
    if threshold is not None:
        about["probes_accepted"] = int((outcomes.top_score >= threshold).sum())
        print(f"{about['probes_accepted']} probes have a candidate of at least {threshold:.4f}")
    report = None
    if not sides.unknown:
        report = identification_report(outcomes, about["top"], () if threshold is None else (threshold,))
        about["identification"] = report.to_dict()
        print(identification_tables(report))
    write_identification(report, folder)
    write_json(folder / "search.json", about)
