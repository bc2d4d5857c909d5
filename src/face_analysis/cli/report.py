"""`face-analysis report`: what a match found, or training runs side by side: figures, tables and a page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from face_analysis.cli.parser import parse
from face_analysis.errors import PackedFileError, UsageError
from face_analysis.files import write_text
from face_analysis.options import Opt, Range, to_yaml
from face_analysis.outputs import Overwrite, claim_folder

if TYPE_CHECKING:
    from face_analysis.reports.matches.page import MatchPageContext

ABOUT, PAGE = "match.json", "report.html"


@dataclass(frozen=True)
class ReportOptions:
    """The options of `report`."""

    folders: Annotated[
        tuple[Path, ...],
        Opt("folder that `match` wrote, or those of one or more runs of `train`", positional=True),
    ]
    dest: Annotated[Path, Opt("folder for the page, figures and tables", "-d")]
    fmr: Annotated[
        float | None,
        Opt("of a match: false match rate at whose threshold groups are compared (default: of match)"),
        Range(over=0, high=1),
    ] = None
    attributes: Annotated[Path | None, Opt("of a match: folder that `evaluate` wrote, to show beside")] = None
    faces: Annotated[bool, Opt("of a match: put the pictures of the hardest pairs into the page")] = False
    source: Annotated[
        Path | None, Opt("with --faces: folder of the images (default: where they were extracted from)", "-s")
    ] = None
    predicted: Annotated[bool, Opt("of a match: the groups are predictions of a model, not labels")] = False
    note: Annotated[str, Opt("words for the head of the page")] = ""
    overwrite: Overwrite = False


def main(arguments: Sequence[str]) -> int:
    """Exit status 0; the path of the page goes to stdout."""
    options = parse("report", ReportOptions, arguments)
    matches = [folder for folder in options.folders if (folder / ABOUT).is_file()]
    if matches and len(options.folders) > 1:
        raise UsageError("a report is of one match, or of training runs: give their folders")
    if len({folder.resolve() for folder in options.folders}) < len(options.folders):
        raise UsageError("a folder is given twice: give each run once")
    write = _match_report(matches[0], options) if matches else _run_report(options)
    read = (*options.folders, options.attributes, options.source)
    with claim_folder(options.dest, read, overwrite=options.overwrite):
        write()
        write_text(options.dest / "config.yaml", to_yaml(options))
    print(options.dest / PAGE)
    return 0


def _match_report(folder: Path, options: ReportOptions) -> Callable[[], None]:
    """Read a match and what stands beside it; gives what writes the files."""
    if options.source is not None and not options.faces:
        raise UsageError("--source is where --faces finds its pictures: give both")
    from face_analysis.matching.match_files import read_counts
    from face_analysis.reports.matches.files import write_match_report
    from face_analysis.reports.matches.page import match_page
    from face_analysis.reports.matches.report import match_report

    about = _about(folder / ABOUT)
    fmr = about["threshold"]["asked"] if options.fmr is None else options.fmr
    report = match_report(read_counts(folder), fmr)
    beside = _beside(folder, options, about)

    def write() -> None:
        pictures = write_match_report(report, options.dest)
        write_text(options.dest / PAGE, match_page(report, pictures, beside))

    return write


def _run_report(options: ReportOptions) -> Callable[[], None]:
    """Read training runs; gives what writes the files."""
    plain = ReportOptions(options.folders, options.dest, note=options.note, overwrite=options.overwrite)
    if options != plain:
        raise UsageError("a report on training runs takes only --dest and --note; the others are for a match")
    from face_analysis.reports.runs.comparison import compare
    from face_analysis.reports.runs.report import run_page, write_run_report
    from face_analysis.reports.runs.training_runs import read_runs

    comparison = compare(read_runs(options.folders))

    def write() -> None:
        pictures = write_run_report(comparison, options.dest)
        write_text(options.dest / PAGE, run_page(comparison, pictures, options.note, to_yaml(options)))

    return write


def _about(path: Path) -> dict[str, Any]:
    try:
        about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        float(about["threshold"]["asked"])
        Path(about["probes"]["folder"])
    except (ValueError, KeyError, TypeError) as error:
        raise PackedFileError(f"{path}: not what `match` writes ({error}); run match again") from error
    return about


def _beside(folder: Path, options: ReportOptions, about: dict[str, Any]) -> MatchPageContext:
    from face_analysis.matching.match_files import COUNTS
    from face_analysis.reports.attributes.report import read_attributes
    from face_analysis.reports.matches.hard_pairs import hard_pairs
    from face_analysis.reports.matches.page import MatchPageContext
    from face_analysis.reports.page import Table
    from face_analysis.zoo.catalogue import file_sha256

    sides = [Path(about[side]["folder"]).name for side in ("probes", "gallery") if about.get(side)]
    hashes = {"counts of the match": {"sha256": file_sha256(folder / COUNTS)}}
    shown = {name: value for name, value in about.items() if name not in ("threshold", "groups")}
    config = folder / "config.yaml"
    return MatchPageContext(
        title=" with ".join(sides),
        note=options.note,
        predicted=options.predicted or bool(about.get("labels", {}).get("predicted")),
        faces=options.faces,
        hardest=hard_pairs(folder, _photos(options, about) if options.faces else None),
        attributes=None if options.attributes is None else read_attributes(options.attributes),
        facts=Table(("", ""), list(_facts(shown | hashes))),
        settings={
            "face-analysis match": config.read_text(encoding="utf-8") if config.is_file() else "",
            "face-analysis report": to_yaml(options),
        },
    )


def _photos(options: ReportOptions, about: dict[str, Any]) -> tuple[Path, Path]:
    """Where the images of the probes and of the gallery are: as given, or where they were extracted from."""
    sides = (about["probes"], about.get("gallery") or about["probes"])
    probes, gallery = (options.source or Path(side.get("source") or "") for side in sides)
    return probes, gallery


def _facts(values: dict[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Names and values of nested ones, a name such as `probes, sha256, index.csv`."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _facts(value, f"{before}{name}, ")
        elif value not in (None, []):
            yield before + name, ", ".join(value) if isinstance(value, list) else str(value)
