"""`face-analysis demo`: faces of portraits, then the whole job on small generated pictures, to a report.

Everything is done by the commands a user would type."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from face_analysis.cli.parser import parse
from face_analysis.datasets.attributes import ATTRIBUTES
from face_analysis.errors import UsageError
from face_analysis.machine import MachineOptions, check_machine
from face_analysis.options import Opt, Range
from face_analysis.outputs import LOCK, claim_folder

MARK = ".face-analysis-demo"
PORTRAITS = (("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"), ("skimage", "data/astronaut.png"))
"""Photos in the public domain (US Navy, NASA), in packages that may be installed."""
PEOPLE, EACH = 80, 4
NOTE = "Generated patterns in the place of people, no faces: see what a report has; its rates mean nothing."


@dataclass(frozen=True)
class DemoOptions(MachineOptions):
    """Where the demo works, and how long."""

    output: Annotated[Path, Opt("folder for all it makes; an earlier demo in it is replaced", "-o")] = Path(
        "demo-output"
    )
    images: Annotated[int, Opt("pictures to train on; a quarter as many to judge by"), Range(low=4)] = 1200
    epochs: Annotated[int, Opt("passes over them", "-e"), Range(low=1)] = 5


def main(arguments: Sequence[str]) -> int:
    """Exit status 0; ends by saying where the pictures and the page of the report lie."""
    options = parse("demo", DemoOptions, arguments)
    check_machine(options)
    if options.output.is_dir() and any(options.output.iterdir()) and not (options.output / MARK).exists():
        raise UsageError(
            f"{options.output} holds something else than an earlier demo; choose another --output"
        )
    with claim_folder(options.output, overwrite=True):
        _empty(options.output)
        _all(options.output, options)
    return 0


def _all(folder: Path, options: DemoOptions) -> None:
    machine = _machine(options)
    portraits = folder / "portraits"
    _copy_portraits(portraits)
    _run("predict", portraits, "--annotate", folder / "annotated", *machine)
    _run("predict", "-s", portraits, "-d", folder / "people", *machine)
    _attributes(folder, options, machine)
    _matching(folder, machine)
    print("\npictures:")
    for part in ("annotated", "evaluation", "report"):
        for picture in sorted(path for path in (folder / part).rglob("*") if path.suffix in (".jpg", ".png")):
            print(f"  {picture}")
    print(f"\npage: {folder}/report/report.html")


def _machine(options: DemoOptions) -> list[str]:
    """The words that tell a command of the machine what the demo was told of it."""
    told = {item.name: getattr(options, item.name) for item in fields(MachineOptions)}
    changed = {item.name for item in fields(MachineOptions) if told[item.name] != item.default}
    return [word for name, value in told.items() if name in changed for word in (f"--{name}", str(value))]


def _attributes(folder: Path, options: DemoOptions, machine: list[str]) -> None:
    from face_analysis.datasets.synthetic import write_patterns

    print(f"\n{options.images} patterns to train on and {options.images // 4} to judge by, in {folder}")
    sets = {
        name: write_patterns(folder / name, count, seed)
        for name, count, seed in (("train", options.images, 1), ("val", options.images // 4, 2))
    }
    for name, image_list in sets.items():
        _run("pack", "-l", image_list, "-s", image_list.parent, "-a", "race", "-d", folder / f"{name}.lmdb")
    data = ("-ts", folder / "train.lmdb", "-vs", folder / "val.lmdb", "-o", folder / "run")
    network = f"--depth 18 --width 0.125 -e {options.epochs} -b 32 -lr 0.1 --lr_steps {options.epochs - 1}"
    other = "--head_lr 10 --validations 1 -w 1 --preset original"
    _run("train", "-a", *ATTRIBUTES, *data, *network.split(), *other.split(), *machine)
    source = ("-s", sets["val"].parent, "-i", sets["val"])
    model = ("-m", folder / "run" / "model.safetensors")
    _run("predict", *source, *model, "-d", folder / "predictions", "--aligned", *machine)
    predictions = folder / "predictions" / "patterns_predictions.csv"
    _run("evaluate", "-p", predictions, "-l", sets["val"], "-d", folder / "evaluation")


def _matching(folder: Path, machine: list[str]) -> None:
    from face_analysis.datasets.synthetic import write_people

    print(f"\n{PEOPLE} patterns in the place of people, {EACH} pictures of each, in {folder}")
    listed = write_people(folder / "patterns", PEOPLE, EACH, seed=3)
    _run("extract", "-s", listed.parent, "-i", listed, "-d", folder / "features", "--aligned", *machine)
    _run("match", folder / "features", "-o", folder / "match", "--group", "gender", "--fmr", "0.01")
    _run("report", folder / "match", "-d", folder / "report", "--note", NOTE)


def _empty(folder: Path) -> None:
    """Remove an earlier demo, but for the lock of this one."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name not in (LOCK, MARK):
            path.unlink()
    (folder / MARK).touch()


def _copy_portraits(folder: Path) -> None:
    folder.mkdir()
    for package, path in PORTRAITS:
        spec = find_spec(package)
        for place in (spec and spec.submodule_search_locations) or ():
            shutil.copy(Path(place) / path, folder)


def _run(*words: str | Path) -> None:
    """Say and run one command; a demo that fails half-way ends with that command's error."""
    from face_analysis.cli.main import run

    command = [f"./{word}" if isinstance(word, Path) and str(word)[0] == "-" else str(word) for word in words]
    print(f"\n$ face-analysis {shlex.join(command)}", flush=True)
    status = run(command)
    if status != 0:
        sys.exit(status)
