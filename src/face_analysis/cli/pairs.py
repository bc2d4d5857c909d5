"""`face-analysis pairs build`: verification sets of `.bin` files, or of photos and a published protocol."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from face_analysis.cli.main import run_action
from face_analysis.cli.parser import parse
from face_analysis.errors import EmptyDataError, MissingFileError, PackedFileError, UsageError
from face_analysis.files import FailureLog, write_text
from face_analysis.machine import ThreadOptions, use_threads
from face_analysis.options import Opt, Range, to_yaml
from face_analysis.outputs import Overwrite, claim_folder

if TYPE_CHECKING:
    from face_analysis.datasets.pairs.pairs import Pairs
    from face_analysis.datasets.sources import ImageSource
    from face_analysis.images.chips import ChipMaker


CFP = ("cfp_ff", "cfp_fp")


@dataclass(frozen=True)
class BuildOptions(ThreadOptions):
    """The options of `pairs build`."""

    source: Annotated[Path, Opt("a .bin file, a folder of them, or with --protocol of photos", "-s", "-r")]
    dest: Annotated[
        Path | None, Opt("folder to put the sets into (default: beside the .bin files)", "-d")
    ] = None
    protocol: Annotated[
        Literal["lfw", "cfp_ff", "cfp_fp", "list", "people"] | None,
        Opt(
            "of photos: lines `name n1 n2` as of LFW; CFP; list: lines `image label`, two a pair; "
            "people: pairs drawn from an image list with classes or subjects"
        ),
    ] = None
    pairs: Annotated[
        Path | None, Opt("list of the pairs, or of people's images (default: pairs.txt in the source)")
    ] = None
    each: Annotated[int, Opt("people: pairs of either kind in each of the ten folds"), Range(low=1)] = 300
    seed: Annotated[int, Opt("people: of the pairs that are drawn"), Range(low=0)] = 0
    name: Annotated[str | None, Opt("of the set (default: that of the .bin file or protocol)", "-n")] = None
    workers: Annotated[int, Opt("threads that decode, detect and align", "-w"), Range(low=0)] = 2
    overwrite: Overwrite = False


def main(arguments: Sequence[str]) -> int:
    """Exit status 0, or 1 when images or whole files could not be used; a line a set goes to stdout."""
    return run_action("pairs", {"build": build}, arguments)


def build(arguments: Sequence[str]) -> int:
    """Build the sets of `.bin` files, or with a protocol one of photos."""
    options = parse("pairs build", BuildOptions, arguments)
    if options.pairs is not None and options.protocol in (None, *CFP):
        raise UsageError("--pairs goes with --protocol lfw, list or people")
    if options.protocol == "people" and options.pairs is None:
        raise UsageError("--protocol people needs --pairs, a list with classes")
    return _build_bins(options) if options.protocol is None else _build_photos(options)


def _build_photos(options: BuildOptions) -> int:
    from face_analysis.datasets.lists.image_list import ImageList, read_image_list
    from face_analysis.datasets.pairs.pairs import draw_pairs, number_images
    from face_analysis.datasets.pairs.protocols import read_protocol
    from face_analysis.datasets.sources import FolderSource
    from face_analysis.images.chips import ChipMaker
    from face_analysis.inference.loading import loading, loading_threads

    assert options.protocol is not None
    if options.dest is None:
        raise UsageError("say where to put the set: give --dest")
    if options.source.is_file():
        raise UsageError(f"{options.source} is a file: with --protocol give the folder of the photos")
    listed = options.pairs or options.source
    if options.protocol == "people":
        drawn = draw_pairs(read_image_list(listed), options.each, options.seed)
    else:
        drawn = read_protocol(options.protocol, options.source, options.pairs)
    images, pairs = number_images(drawn)
    name = options.name or (listed.stem if options.protocol in ("list", "people") else options.protocol)
    source = FolderSource(ImageList(listed, images), options.source)
    maker = ChipMaker.with_detector("centre", whole=True)
    use_threads(loading_threads(options, loading(maker, options.workers)))
    return _build(options, options.dest / name, source, pairs, maker)


def _build_bins(options: BuildOptions) -> int:
    from face_analysis.datasets.pairs.bins import BinSource
    from face_analysis.images.chips import ChipMaker

    if not options.source.exists():
        raise MissingFileError(options.source, "source of pairs")
    bins = _bins(options.source)
    if len(bins) > 1 and options.name is not None:
        raise UsageError("--name goes with one .bin file")
    status = 0
    for path in bins:
        folder = (options.dest or path.parent) / (options.name or path.stem)
        try:
            source = BinSource(path)
            status = max(status, _build(options, folder, source, source.pairs, ChipMaker()))
        except (PackedFileError, EmptyDataError) as error:
            if len(bins) == 1:
                raise
            print(error, file=sys.stderr)
            status = 1
    return status


def _bins(source: Path) -> list[Path]:
    """The `.bin` files of a folder, or the file itself."""
    from face_analysis.datasets.kinds import is_picture, what_is
    from face_analysis.datasets.packed import is_packed

    if source.is_dir():
        bins = sorted(path for path in source.glob("*.bin") if not path.name.startswith("."))
        if not bins:
            raise EmptyDataError(f"{source}: no .bin file in this folder; for photos give --protocol")
        return bins
    if is_picture(source) or is_packed(source):
        raise UsageError(f"{source} is {what_is(source)}, not a .bin file; photos need --protocol")
    return [source]


def _build(options: BuildOptions, folder: Path, source: ImageSource, pairs: Pairs, maker: ChipMaker) -> int:
    from face_analysis.inference.verify import build_pairs

    read = (options.source, source.origin, options.pairs)
    with claim_folder(folder, read, overwrite=options.overwrite):
        failures = FailureLog(folder / "errors.csv")
        built = build_pairs(source, pairs, maker, folder, failures, options.workers)
        write_text(folder / "config.yaml", to_yaml(options))
    print(
        f"{folder}: {len(built.images)} images, {int((~built.found).sum())} without a face found; "
        f"{len(built.pairs)} pairs, {len(pairs) - len(built.pairs)} left out"
    )
    return failures.report()
