"""`face-analysis annotations`: lists of public sets in this package's codes, split and counted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from face_analysis.cli.main import run_action
from face_analysis.cli.parser import parse
from face_analysis.datasets.attributes import Attribute
from face_analysis.errors import EmptyDataError, UsageError
from face_analysis.files import FailureLog, whole_file, write_text
from face_analysis.options import Opt, Range, to_yaml
from face_analysis.outputs import Overwrite, claim_file, claim_folder

if TYPE_CHECKING:
    from face_analysis.datasets.lists.image_list import ImageList

ListFormat = Literal["csv", "text"]
SetName = Literal[
    "aaf", "afad", "agedb", "cacd", "fairface", "fgnet", "imdb-wiki", "imfdb", "megaage-asian", "morph",
    "rfw", "utkface",
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
class FolderOptions:
    """Which folder to list."""

    source: Annotated[Path, Opt("folder with a subfolder a class", "-s")]
    dest: Annotated[Path, Opt("list to write", "-d")]
    format: Annotated[ListFormat, Opt("csv, or text: `path class`")] = "csv"
    overwrite: Overwrite = False


@dataclass(frozen=True)
class SplitOptions:
    """How to split a list."""

    list: Annotated[Path, Opt("image list", positional=True)]
    dest: Annotated[
        Path | None, Opt("folder for the lists (default: beside the list, its name before theirs)", "-d")
    ] = None
    shares: Annotated[tuple[float, ...], Opt("share of each part; together 1"), Range(over=0, high=1)] = (
        0.8,
        0.1,
        0.1,
    )
    names: Annotated[tuple[str, ...], Opt("name of each part")] = ("train", "val", "test")
    by: Annotated[Literal["image", "subject", "group"], Opt("what never comes apart")] = "image"
    groups: Annotated[
        Path | None, Opt("CSV `path,group` of images that belong together, as `audit` finds copies")
    ] = None
    stratify: Annotated[
        tuple[Literal["race", "gender", "age"], ...],
        Opt("labels to share out evenly (default: those of the list)"),
    ] = ()
    seed: Annotated[int, Opt("seed of the choice"), Range(low=0)] = 0
    format: Annotated[ListFormat, Opt("csv, or text: `path race gender age`, `path class` or `path`")] = "csv"
    overwrite: Overwrite = False


@dataclass(frozen=True)
class CountOptions:
    """Which lists to count."""

    lists: Annotated[tuple[Path, ...], Opt("image lists", positional=True)]
    dest: Annotated[Path | None, Opt("folder for counts.csv and counts.png", "-d")] = None
    attribute: Annotated[
        Attribute | None, Opt("count each label of this attribute alone, ages by year", "-a")
    ] = None
    overwrite: Overwrite = False


def main(arguments: Sequence[str]) -> int:
    """Exit status 0, or 1 when images of a set do not fit it; the action's result goes to stdout."""
    actions = {"normalize": normalize, "folder": folder, "split": split, "count": count}
    return run_action("annotations", actions, arguments)


def normalize(arguments: Sequence[str]) -> int:
    """Write the image list of a public set, and beside it what did not fit."""
    options = parse("annotations normalize", NormalizeOptions, arguments)
    from face_analysis.datasets.annotations import convert, set_rows
    from face_analysis.datasets.lists.public_sets import PUBLIC_SETS
    from face_analysis.datasets.lists.writers import write_image_list

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
    if public.note:
        logging.info(public.note)
    print(f"{options.dest}: {len(found.listed)} images")
    return failures.report()


def folder(arguments: Sequence[str]) -> int:
    """List the images of a folder whose subfolders are classes; those outside of one are counted."""
    options = parse("annotations folder", FolderOptions, arguments)
    from face_analysis.datasets.lists.image_list import ImageList
    from face_analysis.datasets.sources import folder_of_classes

    source = folder_of_classes(options.source)
    classes = source.labels["class"]
    rows = (classes >= 0).nonzero()[0]
    if not len(rows):
        raise EmptyDataError(f"{options.source}: no image lies in a subfolder, so none has a class")
    images = [source.name(row) for row in rows.tolist()]
    config = Path(f"{options.dest}.config.yaml")
    with claim_file(options.dest, (options.source,), beside=(config,), overwrite=options.overwrite):
        write_text(config, to_yaml(options))
        _writer(options.format)(options.dest, ImageList(options.dest, images, {"class": classes[rows]}))
    if len(rows) < len(source):
        logging.warning("images outside of a subfolder, left out: %d", len(source) - len(rows))
    print(f"{options.dest}: {len(rows)} images of {len(set(classes[rows].tolist()))} classes")
    return 0


def _writer(form: ListFormat) -> Callable[[Path, ImageList], None]:
    from face_analysis.datasets.lists.writers import write_image_list, write_text_list

    return write_text_list if form == "text" else write_image_list


def split(arguments: Sequence[str]) -> int:
    """Write a list a part, and print how many images each has."""
    options = parse("annotations split", SplitOptions, arguments)
    if len(set(options.names)) != len(options.shares) or len(options.names) != len(options.shares):
        raise UsageError("--names takes a name of its own for each of --shares")
    if any(Path(name).name != name for name in options.names):
        raise UsageError(f"--names {' '.join(options.names)}: give names without folders")
    from face_analysis.datasets.lists.image_list import read_image_list
    from face_analysis.datasets.lists.splits import read_groups, split_list

    groups = read_groups(options.groups) if options.groups is not None else None
    listed = read_image_list(options.list)
    parts = split_list(listed, options.shares, options.by, groups, options.stratify, options.seed)
    places, config = _split_places(options)
    with _split_claim(options, places, config):
        write_text(config, to_yaml(options))
        for path, part in zip(places, parts, strict=True):
            _writer(options.format)(path, part)
    for path, part in zip(places, parts, strict=True):  # when all is written, as stdout may be closed
        print(f"{path}: {len(part)} images")
    return 0


def _split_places(options: SplitOptions) -> tuple[list[Path], Path]:
    """The file of each part, and that of the options."""
    suffix = "txt" if options.format == "text" else "csv"
    if options.dest is not None:
        return [options.dest / f"{name}.{suffix}" for name in options.names], options.dest / "config.yaml"
    start = options.list.with_suffix("")
    return [Path(f"{start}_{name}.{suffix}") for name in options.names], Path(f"{start}_split.config.yaml")


def _split_claim(options: SplitOptions, places: list[Path], config: Path) -> AbstractContextManager[None]:
    read = (options.list, options.groups)
    if options.dest is not None:
        return claim_folder(options.dest, read, overwrite=options.overwrite)
    return claim_file(places[0], read, beside=(*places[1:], config), overwrite=options.overwrite)


def _count_claim(options: CountOptions) -> AbstractContextManager[None]:
    if options.dest is None:
        return nullcontext()
    return claim_folder(options.dest, options.lists, overwrite=options.overwrite)


def count(arguments: Sequence[str]) -> int:
    """Print how many images there are of each race, gender and band of age; write CSV and figure."""
    options = parse("annotations count", CountOptions, arguments)
    from face_analysis.datasets.lists.image_list import read_image_list

    lists = {str(path): read_image_list(path) for path in options.lists}
    if options.attribute is not None:
        return _count_labels(options, options.attribute, lists)
    from face_analysis.datasets.attributes import count_groups
    from face_analysis.reports.label_counts import counts_csv, counts_figure, counts_markdown
    from face_analysis.reports.style import figure_style

    counts = {name: count_groups(listed.labels, len(listed)) for name, listed in lists.items()}
    with _count_claim(options):
        if options.dest is not None:
            write_text(options.dest / "config.yaml", to_yaml(options))
            write_text(options.dest / "counts.csv", counts_csv(counts))
            with figure_style(), whole_file(options.dest / "counts.png") as partial:
                counts_figure(counts).savefig(partial, format="png")
    print(counts_markdown(counts))
    return 0


def _count_labels(options: CountOptions, attribute: Attribute, lists: Mapping[str, ImageList]) -> int:
    """Print, and with --dest write, how many images have each label of an attribute."""
    from face_analysis.reports.label_counts import labels_csv, labels_markdown

    lacking = [name for name, listed in lists.items() if attribute not in listed.labels]
    if lacking:
        raise UsageError(f"{lacking[0]}: no column for {attribute}")
    labels = {name: listed.labels[attribute] for name, listed in lists.items()}
    with _count_claim(options):
        if options.dest is not None:
            write_text(options.dest / "config.yaml", to_yaml(options))
            write_text(options.dest / "counts.csv", labels_csv(attribute, labels))
    print(labels_markdown(attribute, labels))
    return 0
