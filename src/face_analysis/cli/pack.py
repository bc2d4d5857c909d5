"""`face-analysis pack`: a list, a folder with a subfolder a class, or a .rec file becomes one LMDB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from face_analysis.cli.parser import parse
from face_analysis.errors import UsageError
from face_analysis.files import write_text
from face_analysis.machine import ThreadOptions, all_threads, use_threads
from face_analysis.options import Opt, Range, to_yaml
from face_analysis.outputs import Overwrite, Resume, claim_file

if TYPE_CHECKING:
    from face_analysis.datasets.encoding import Encoding
    from face_analysis.datasets.sources import ImageSource

PackAttribute = Literal["race", "gender", "age", "recognition"]


@dataclass(frozen=True)
class PackOptions(ThreadOptions):
    """What packing is told."""

    dest: Annotated[Path, Opt("the LMDB to write, or a folder for it", "-d")]
    list: Annotated[Path | None, Opt("image list; without it, classes are the source's subfolders", "-l")] = (
        None
    )
    source: Annotated[Path | None, Opt("folder of the images, an LMDB, or a .rec file", "-s")] = None
    mask_source: Annotated[
        Path | None,
        Opt("folder of face masks (of a/b.jpg: a/b_mask.png): blur the images outside the face", "-ms"),
    ] = None
    keep_masks: Annotated[
        bool, Opt("with --mask_source: keep the images sharp, and the masks for train --use_mask")
    ] = False
    attribute: Annotated[PackAttribute, Opt("label kept in each record", "-a")] = "recognition"
    name: Annotated[str | None, Opt("name of the LMDB (default: that of the list or folder)", "-n")] = None
    align: Annotated[bool, Opt("write the aligned chip of the face nearest the middle of each photo")] = False
    whole: Annotated[bool, Opt("with --align: take a photo whole where no face is found")] = False
    size: Annotated[int | None, Opt("write images anew, square, with this side in pixels"), Range(low=1)] = (
        None
    )
    quality: Annotated[int, Opt("of JPEG images written anew"), Range(1, 100)] = 95
    strict: Annotated[bool, Opt("write nothing if an image cannot be used")] = False
    resume: Resume = False
    overwrite: Overwrite = False
    workers: Annotated[int, Opt("threads that read images", "-w"), Range(low=0)] = 2


@dataclass(frozen=True)
class VerifyOptions:
    """Which file to verify."""

    file: Annotated[Path, Opt("an LMDB that `pack` wrote", positional=True)]


def main(arguments: Sequence[str]) -> int:
    """Exit status 0, or 1 when images could not be used; the LMDB's path goes to stdout."""
    if arguments and arguments[0] == "verify":
        return verify(arguments[1:])
    options = parse("pack", PackOptions, arguments)
    _check(options)
    from face_analysis.datasets.lmdb.unfinished import unfinished_path
    from face_analysis.datasets.pack import PackSettings, pack
    from face_analysis.files import FailureLog

    path, source = destination(options), _source(options)
    settings = PackSettings(
        _encoding(options),
        options.strict,
        options.resume,
        options.workers,
        options.mask_source,
        options.keep_masks,
    )
    config, errors = (Path(f"{path}.{name}") for name in ("config.yaml", "errors.csv"))
    claim = claim_file(
        path,
        (options.list, options.source, options.mask_source),
        beside=(config, errors),
        unfinished=unfinished_path(path),
        overwrite=options.overwrite,
        resume=options.resume,
    )
    with claim:
        report = pack(source, path, options.attribute, settings)
        write_text(config, to_yaml(options))
        failures = FailureLog(errors)
        failures.add(report.failures)
    print(f"{path}: {report.written} images; {report.left_out} without a known {options.attribute} left out")
    return failures.report()


def verify(arguments: Sequence[str]) -> int:
    """Read all of a packed file and compare it with its checksum. Raises PackedFileError."""
    path = parse("pack verify", VerifyOptions, arguments).file
    from face_analysis.datasets.lmdb.reader import LmdbReader

    reader = LmdbReader(path)
    reader.verify()
    print(f"{path}: whole, {len(reader)} images")
    return 0


def _check(options: PackOptions) -> None:
    if options.whole and not options.align:
        raise UsageError("--whole goes with --align")
    if options.keep_masks and options.mask_source is None:
        raise UsageError("--keep_masks goes with --mask_source")
    if options.mask_source is not None and (options.align or (options.keep_masks and options.size)):
        raise UsageError(
            "--mask_source goes without --align, and --keep_masks without --size: masks fit the "
            "images as they are"
        )


def _source(options: PackOptions) -> ImageSource:
    from face_analysis.datasets.sources import open_people, open_source

    if options.attribute == "recognition":
        return open_people(options.source, options.list)
    return open_source(options.source, options.list, options.attribute)


def _encoding(options: PackOptions) -> Encoding | None:
    from face_analysis.datasets.encoding import Encoding

    if not options.align and options.size is None:
        return None if options.mask_source is None or options.keep_masks else Encoding(None, options.quality)
    from face_analysis.images.align import CHIP_SIZE
    from face_analysis.images.chips import ChipMaker

    maker = ChipMaker()
    if options.align:
        maker = ChipMaker.with_detector("centre", whole=options.whole)
        # The workers are processes, which a detector that had run here could hang.
        use_threads(min(options.threads or all_threads() // max(1, options.workers), all_threads()) or 1)
    return Encoding(replace(maker, size=options.size or CHIP_SIZE), options.quality)


def destination(options: PackOptions) -> Path:
    """`--dest` if it names an .lmdb; otherwise a file in that folder, called after the list or folder."""
    if options.dest.suffix == ".lmdb" and options.name is None:
        return options.dest
    given = options.list or options.source
    if given is None:
        raise UsageError("give --list, or --source with a subfolder a class")
    given = given.resolve()
    name = options.name or (given.name if given.is_dir() else given.stem)
    return options.dest / f"{name.removesuffix('.lmdb')}.lmdb"
