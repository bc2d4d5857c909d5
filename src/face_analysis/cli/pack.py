"""`face-analysis pack`: a list, or a folder with a subfolder a class, becomes one LMDB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from face_analysis.cli.parser import parse
from face_analysis.errors import UsageError
from face_analysis.files import write_text
from face_analysis.options import Opt, to_yaml

PackAttribute = Literal["race", "gender", "age", "recognition"]


@dataclass(frozen=True)
class PackOptions:
    """What packing is told."""

    dest: Annotated[Path, Opt("the LMDB to write, or a folder for it", "-d")]
    list: Annotated[Path | None, Opt("image list; without it, classes are the source's subfolders", "-l")] = (
        None
    )
    source: Annotated[Path | None, Opt("folder of the images", "-s")] = None
    attribute: Annotated[PackAttribute, Opt("label kept in each record", "-a")] = "recognition"
    name: Annotated[str | None, Opt("name of the LMDB (default: that of the list or folder)", "-n")] = None


def main(arguments: Sequence[str]) -> int:
    """Exit status 0, or 1 when images could not be read; the LMDB's path goes to stdout."""
    options = parse("pack", PackOptions, arguments)
    from face_analysis.datasets.pack import pack, pack_folder
    from face_analysis.datasets.sources import open_source
    from face_analysis.files import FailureLog

    path = destination(options)
    if options.list is not None:
        report = pack(open_source(options.source, options.list), path, options.attribute)
    elif options.source is not None and options.attribute == "recognition":
        report = pack_folder(options.source, path)
    else:
        raise UsageError("give --list with the labels, or --source with a subfolder a class for recognition")
    write_text(path.with_suffix(".yaml"), to_yaml(options))
    failures = FailureLog(path.with_suffix(".errors.csv"))
    failures.add(report.failures)
    print(f"{path}: {report.written} images; {report.left_out} without a known {options.attribute} left out")
    return failures.report()


def destination(options: PackOptions) -> Path:
    """`--dest` if it names an .lmdb; otherwise a file in that folder, called after the list or folder."""
    if options.dest.suffix == ".lmdb" and options.name is None:
        return options.dest
    given = options.list or options.source
    if given is None:
        raise UsageError("give --list, or --source with a subfolder a class")
    name = options.name or given.resolve().stem
    return options.dest / f"{name.removesuffix('.lmdb')}.lmdb"
