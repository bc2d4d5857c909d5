"""`face-analysis match`: all pairs of embeddings compared."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from face_analysis import __version__
from face_analysis.cli.parser import parse
from face_analysis.errors import EmptyDataError
from face_analysis.files import FailureLog, write_text
from face_analysis.json_files import write_json
from face_analysis.options import Opt, Range, to_yaml
from face_analysis.outputs import Overwrite, Resume, claim_folder

if TYPE_CHECKING:
    from face_analysis.datasets.predictions.columns import LabelFile
    from face_analysis.matching.comparison import Comparison, Side
    from face_analysis.matching.features.feature_set import FeatureSet
    from face_analysis.matching.result import MatchResult

GIGABYTE = 1e9


@dataclass(frozen=True)
class MatchOptions:
    """The options of `match`."""

    probes: Annotated[Path, Opt("feature set, as `extract` writes it", positional=True)]
    output: Annotated[Path, Opt("folder for counts, tails and rates", "-o")]
    gallery: Annotated[
        Path | None, Opt("feature set to compare with (default: the probes, each pair once)", positional=True)
    ] = None
    subject: Annotated[
        str | None,
        Opt("column of the index, or a rule for paths: folder, original, CHIYA, CHIYA_VAL, PUBLIC_IVS"),
    ] = None
    subject_pattern: Annotated[
        str | None, Opt("regular expression whose one group, found in the path, is the subject")
    ] = None
    group: Annotated[tuple[str, ...], Opt("columns of the index whose groups have rates of their own")] = ()
    labels: Annotated[
        Path | None,
        Opt("image list, or file of `predict`, that gives the images race, gender and age to group by"),
    ] = None
    tail: Annotated[int, Opt("most extreme pairs to keep, non-mated and mated"), Range(low=0)] = 1000
    fmr: Annotated[float, Opt("false match rate to find the threshold of"), Range(over=0, high=1)] = 1e-4
    scores: Annotated[Literal["none", "npy", "parquet"], Opt("write every score, too")] = "none"
    prefix: Annotated[str, Opt("what the names of the score files begin with", "-gr")] = "all"
    memory: Annotated[
        float, Opt("GB for panels and counts, beside Python's and torch's own 0.3"), Range(over=0)
    ] = 1
    resume: Resume = False
    overwrite: Overwrite = False


def main(arguments: Sequence[str]) -> int:
    """Exit status 0, or 1 where rows are no embeddings; the rates go to stdout."""
    options = parse("match", MatchOptions, arguments)
    from tqdm import tqdm

    from face_analysis.datasets.parquet import pyarrow_for
    from face_analysis.matching.match import COUNTED_FRACTION, match
    from face_analysis.matching.score_files import write_scores
    from face_analysis.matching.unfinished import UnfinishedMatch

    if options.scores == "parquet":
        pyarrow_for("--scores parquet")
    labels = _labels(options)
    comparison, memory = _comparison(options, labels), options.memory * GIGABYTE
    facts = _facts(options, comparison, labels)
    fraction = max(COUNTED_FRACTION, 1.5 * options.fmr)  # more, as the threshold is not known yet
    counted = {"tail": options.tail, "memory": memory, "fraction counted by subject (--fmr)": fraction}
    read = (options.probes, options.gallery, options.labels)
    with claim_folder(options.output, read, overwrite=options.overwrite, resume=options.resume):
        write_text(options.output / "config.yaml", to_yaml(options))
        failures = FailureLog(options.output / "errors.csv")
        failures.add(comparison.failures)
        unfinished = UnfinishedMatch(options.output, facts | counted, resume=options.resume)
        with tqdm(total=comparison.pairs, unit=" pairs", unit_scale=True, desc="match") as bar:
            result = match(
                comparison,
                tail=options.tail,
                memory=memory,
                counted_fraction=fraction,
                unfinished=unfinished,
                progress=bar.update,
            )
        if options.scores != "none":
            start = options.output / options.prefix
            with tqdm(total=comparison.pairs, unit=" pairs", unit_scale=True, desc="scores") as bar:
                write_scores(comparison, options.scores, start, memory, bar.update)
        command = shlex.join(["face-analysis", "match", *arguments])
        _write(options, comparison, result, {"version": __version__, "command": command, **facts})
        unfinished.remove()
    return failures.report()


def _labels(options: MatchOptions) -> LabelFile | None:
    """The file that `--labels` names."""
    from face_analysis.datasets.predictions.columns import read_label_file

    return None if options.labels is None else read_label_file(options.labels)


def _comparison(options: MatchOptions, labels: LabelFile | None) -> Comparison:
    """What is compared, after checks that need no output: there are pairs, and memory for the counts."""
    from face_analysis.matching.comparison import compare
    from face_analysis.matching.features.feature_set import LABEL, SUBJECT, open_feature_set
    from face_analysis.matching.match import most_thresholds

    columns = {SUBJECT, LABEL, options.subject or SUBJECT, *options.group}

    def opened(folder: Path) -> FeatureSet:
        features = open_feature_set(folder, columns)
        return features if labels is None else features.with_columns(labels.columns_of(features.paths))

    probes = opened(options.probes)
    gallery = None if options.gallery is None else opened(options.gallery)
    comparison = compare(
        probes,
        gallery,
        subject=options.subject,
        subject_pattern=options.subject_pattern,
        groups=options.group,
    )
    if comparison.pairs == comparison.same_picture_pairs:
        raise EmptyDataError(
            f"{options.probes}: no two pictures to compare; give a set of more, or another gallery"
        )
    most_thresholds(comparison, options.memory * GIGABYTE)
    return comparison


def _facts(options: MatchOptions, comparison: Comparison, labels: LabelFile | None) -> dict[str, Any]:
    """What is compared, and by what subjects and groups."""
    return {
        "probes": side_facts(comparison.probes),
        "gallery": None if comparison.within else side_facts(comparison.gallery),
        "subject": options.subject,
        "subject_pattern": options.subject_pattern,
        "group": list(options.group),
        **_label_facts(labels),
    }


def _label_facts(labels: LabelFile | None) -> dict[str, Any]:
    """Which file the groups come from, and whether a model predicted them."""
    if labels is None:
        return {}
    from face_analysis.zoo.catalogue import file_sha256

    path = labels.path
    return {"labels": {"file": str(path), "sha256": file_sha256(path), "predicted": labels.predicted}}


def side_facts(side: Side) -> dict[str, Any]:
    """Where a feature set and its images are, its rows that are compared, and the SHA-256 of its files."""
    from face_analysis.matching.features.feature_set import EMBEDDINGS, INDEX
    from face_analysis.zoo.catalogue import file_sha256

    folder = side.features.folder
    if folder is None:
        content = side.features.embeddings.tobytes() + "\n".join(side.features.paths).encode(
            "utf-8", "surrogateescape"
        )
        hashes = {"embeddings and paths": hashlib.sha256(content).hexdigest()}
    else:
        hashes = {name: file_sha256(folder / name) for name in (EMBEDDINGS, INDEX)}
    return {
        "folder": side.features.source if folder is None else str(folder),
        "source": side.features.source,
        "rows": len(side),
        "left_out": len(side.features.embeddings) - len(side),
        "sha256": hashes,
    }


def _write(options: MatchOptions, comparison: Comparison, result: MatchResult, facts: dict[str, Any]) -> None:
    from face_analysis.matching.match_files import write_counts, write_subjects, write_tails
    from face_analysis.matching.thresholds import FMRS, threshold_cards
    from face_analysis.reports.matches.rates_text import rates_text

    write_counts(result, options.output)
    write_tails(result, comparison, options.output)
    card, *cards = threshold_cards(result, (options.fmr, *FMRS))
    write_json(options.output / "threshold.json", card.to_dict())
    total, not_compared = result.histogram(), comparison.same_picture_pairs
    counted = {"mated": int(total.mated.sum()), "non_mated": int(total.non_mated.sum())}
    about = {
        **facts,
        "groups": result.groups,
        "subjects": len(result.subjects),
        "pairs": counted | {"not_compared": not_compared},
        "followed_from": float(result.thresholds[0]),
        "threshold": card.to_dict(),
    }
    write_json(options.output / "match.json", about)
    counted_there = card.threshold if card.fmr_interval else None  # or so low that none is counted by subject
    write_subjects(result, counted_there, options.output)
    print(rates_text(result, card, cards, not_compared))
