"""`face-analysis annotations`: lists of public sets in this package's codes, split and counted."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from face_analysis.cli.actions import run_action
from face_analysis.cli.parser import parse
from face_analysis.errors import EmptyDataError, UsageError
from face_analysis.files import FailureLog, whole_file, write_text
from face_analysis.options import Opt, to_yaml
from face_analysis.outputs import Overwrite, claim_file, claim_folder

SetName = Literal[
    "aaf", "afad", "agedb", "cacd", "imdb-wiki", "imfdb", "megaage-asian", "morph", "utkface"
]  # fmt: skip


@dataclass(frozen=True)
class NormalizeOptions:
    """Which set to bring into this package's codes."""

    dataset: Annotated[SetName, Opt("the public set", positional=True)]
    dest: Annotated[Path, Opt("CSV list to write", "-d")]
    source: Annotated[Path | None, Opt("folder of the images", "-s")] = None
    image_list: Annotated[
        Path | None, Opt("list that came with the set, or for sets labelled by name a list of names", "-i")
    ] = None
    overwrite: Overwrite = False


@dataclass(frozen=True)
class SplitOptions:
    """How to split a list."""

    list: Annotated[Path, Opt("image list", positional=True)]
    dest: Annotated[Path, Opt("folder for the lists", "-d")]
    shares: Annotated[tuple[float, ...], Opt("share of each part; together 1")] = (0.8, 0.1, 0.1)
    names: Annotated[tuple[str, ...], Opt("name of each part")] = ("train", "val", "test")
    by: Annotated[Literal["image", "subject", "group"], Opt("what never comes apart")] = "image"
    groups: Annotated[
        Path | None, Opt("CSV `path,group` of images that belong together, as `audit` finds copies")
    ] = None
    stratify: Annotated[
        tuple[Literal["race", "gender", "age"], ...],
        Opt("labels to share out evenly (default: those of the list)"),
    ] = ()
    seed: Annotated[int, Opt("seed of the choice")] = 0
    overwrite: Overwrite = False


@dataclass(frozen=True)
class CountOptions:
    """Which lists to count."""

    lists: Annotated[tuple[Path, ...], Opt("image lists", positional=True)]
    dest: Annotated[Path, Opt("folder for counts.csv and counts.png", "-d")]
    overwrite: Overwrite = False


def main(arguments: Sequence[str]) -> int:
    """Exit status 0, or 1 when images of a set do not fit it; the action's result goes to stdout."""
    actions = {"normalize": normalize, "split": split, "count": count}
    return run_action("annotations", actions, arguments)


def normalize(arguments: Sequence[str]) -> int:
    """Write the image list of a public set, and beside it what did not fit."""
    options = parse("annotations normalize", NormalizeOptions, arguments)
    from face_analysis.datasets.annotations import convert, set_rows
    from face_analysis.datasets.lists.public_sets import PUBLIC_SETS
    from face_analysis.datasets.lists.writer import write_image_list

    public = PUBLIC_SETS[options.dataset]
    found = convert(public, set_rows(public, options.source, options.image_list), options.source)
    config, errors = (Path(f"{options.dest}.{name}") for name in ("config.yaml", "errors.csv"))
    read = (options.source, options.image_list)
    with claim_file(options.dest, read, beside=(config, errors), overwrite=options.overwrite):
        failures = FailureLog(errors)
        failures.add(found.failures)
        if not len(found.listed):
            raise EmptyDataError(
                f"no image fits {options.dataset}, so no list is written; the reasons are in {failures.path}"
            )
        write_text(config, to_yaml(options))
        write_image_list(options.dest, found.listed)
    if found.odd_ages:
        logging.warning("ages outside 0 to 100, listed as unknown: %d", found.odd_ages)
    print(f"{options.dest}: {len(found.listed)} images")
    return failures.report()


def split(arguments: Sequence[str]) -> int:
    """Write a list a part, and print how many images each has."""
    options = parse("annotations split", SplitOptions, arguments)
    if len(set(options.names)) != len(options.shares) or len(options.names) != len(options.shares):
        raise UsageError("--names takes a name of its own for each of --shares")
    if any(Path(name).name != name for name in options.names):
        raise UsageError(f"--names {' '.join(options.names)}: give names without folders")
    from face_analysis.datasets.lists.group_files import read_groups
    from face_analysis.datasets.lists.image_list import read_image_list
    from face_analysis.datasets.lists.splits import split_list
    from face_analysis.datasets.lists.writer import write_image_list

    groups = read_groups(options.groups) if options.groups is not None else None
    listed = read_image_list(options.list)
    parts = split_list(listed, options.shares, options.by, groups, options.stratify, options.seed)
    with claim_folder(options.dest, (options.list, options.groups), overwrite=options.overwrite):
        write_text(options.dest / "config.yaml", to_yaml(options))
        for name, part in zip(options.names, parts, strict=True):
            path = options.dest / f"{name}.csv"
            write_image_list(path, part)
            print(f"{path}: {len(part)} images")
    return 0


def count(arguments: Sequence[str]) -> int:
    """Print how many images there are of each race, gender and band of age; write CSV and figure."""
    options = parse("annotations count", CountOptions, arguments)
    from face_analysis.datasets.lists.image_list import read_image_list
    from face_analysis.datasets.lists.label_groups import count_groups
    from face_analysis.reports.figure_style import figure_style
    from face_analysis.reports.label_counts import counts_csv, counts_figure, counts_markdown

    counts = {}
    for path in options.lists:
        listed = read_image_list(path)
        counts[str(path)] = count_groups(listed.labels, len(listed))
    with claim_folder(options.dest, options.lists, overwrite=options.overwrite):
        write_text(options.dest / "config.yaml", to_yaml(options))
        write_text(options.dest / "counts.csv", counts_csv(counts))
        with figure_style(), whole_file(options.dest / "counts.png") as partial:
            counts_figure(counts).savefig(partial, format="png")
    print(counts_markdown(counts))
    return 0
