"""`face-analysis report`: what a match found, as figures, tables and a page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from face_analysis.cli.parser import parse
from face_analysis.errors import MissingFileError, PackedFileError, UsageError
from face_analysis.files import write_text
from face_analysis.options import Opt, to_yaml

if TYPE_CHECKING:
    from face_analysis.reports.match_page import Beside


@dataclass(frozen=True)
class ReportOptions:
    """What a report is told."""

    match: Annotated[Path, Opt("folder that `match` wrote", positional=True)]
    dest: Annotated[Path, Opt("folder for the page, figures and tables", "-d")]
    fmr: Annotated[
        float | None, Opt("false match rate at whose threshold groups are compared (default: of match)")
    ] = None
    attributes: Annotated[Path | None, Opt("folder that `evaluate` wrote, to show beside")] = None
    faces: Annotated[bool, Opt("put the pictures of the hardest pairs into the page")] = False
    source: Annotated[Path | None, Opt("with --faces: folder of the images", "-s")] = None
    predicted: Annotated[bool, Opt("the groups are predictions of a model, not labels")] = False
    note: Annotated[str, Opt("words for the head of the page")] = ""


def main(arguments: Sequence[str]) -> int:
    """Exit status 0; the path of the page goes to stdout."""
    options = parse("report", ReportOptions, arguments)
    if options.source is not None and not options.faces:
        raise UsageError("--source is where --faces finds its pictures: give both")
    from face_analysis.matching.match_files import read_counts
    from face_analysis.reports.match_files import write_match_report
    from face_analysis.reports.match_page import match_page
    from face_analysis.reports.match_report import match_report

    about = _about(options.match)
    fmr = about["threshold"]["asked"] if options.fmr is None else options.fmr
    report = match_report(read_counts(options.match), fmr)
    beside = _beside(options, about)
    pictures = write_match_report(report, options.dest)
    write_text(options.dest / "report.html", match_page(report, pictures, beside))
    write_text(options.dest / "config.yaml", to_yaml(options))
    print(options.dest / "report.html")
    return 0


def _about(folder: Path) -> dict[str, Any]:
    path = folder / "match.json"
    if not path.is_file():
        raise MissingFileError(path, "match")
    try:
        about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        float(about["threshold"]["asked"])
        Path(about["probes"]["folder"])
    except (ValueError, KeyError, TypeError) as error:
        raise PackedFileError(f"{path}: not what `match` writes ({error}); run match again") from error
    return about


def _beside(options: ReportOptions, about: dict[str, Any]) -> Beside:
    from face_analysis.matching.match_files import COUNTS
    from face_analysis.reports.attribute_section import read_attributes
    from face_analysis.reports.hard_pairs import hard_pairs
    from face_analysis.reports.match_page import Beside
    from face_analysis.reports.page import Table
    from face_analysis.zoo.catalogue import file_sha256

    sides = [Path(about[side]["folder"]).name for side in ("probes", "gallery") if about.get(side)]
    hashes = {"counts of the match": {"sha256": file_sha256(options.match / COUNTS)}}
    shown = {name: value for name, value in about.items() if name not in ("threshold", "groups")}
    config = options.match / "config.yaml"
    return Beside(
        title=" with ".join(sides),
        note=options.note,
        predicted=options.predicted,
        faces=options.faces,
        hardest=hard_pairs(options.match, (options.source or Path()) if options.faces else None),
        attributes=None if options.attributes is None else read_attributes(options.attributes),
        facts=Table(("", ""), list(_facts(shown | hashes))),
        settings={
            "face-analysis match": config.read_text(encoding="utf-8") if config.is_file() else "",
            "face-analysis report": to_yaml(options),
        },
    )


def _facts(values: dict[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Names and values of nested ones, a name such as `probes, sha256, index.csv`."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _facts(value, f"{before}{name}, ")
        elif value not in (None, []):
            yield before + name, ", ".join(value) if isinstance(value, list) else str(value)
