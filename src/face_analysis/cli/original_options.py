"""The options of the original system's scripts, and those of `face-analysis` that take their place."""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NamedTuple

from face_analysis.errors import UsageError
from face_analysis.zoo.card import RECOGNITION

UNUSED = "-"
"""In place of a flag's `to`: its value goes into the words of `more`."""


class Flag(NamedTuple):
    """An option of the original, and the option of the command that takes its place.

    `to` "" is a word without an option. `default` is what the original took where nothing is given, None
    what the command takes. A `switch` has no value, a `several` one or more; `lower` ones know no case.
    """

    long: str
    short: str
    to: str
    default: str | None = None
    switch: bool = False
    several: bool = False
    lower: bool = False

    @property
    def name(self) -> str:
        """The long name without dashes."""
        return self.long.lstrip("-")


class Script(NamedTuple):
    """The words that stand before the options, the options, and `more`: words made of several options."""

    words: tuple[str, ...]
    flags: tuple[Flag, ...]
    more: Callable[[Namespace], list[str]] = lambda _: []


def _train(given: Namespace) -> list[str]:
    """The words for `--resume` and `--val_list` of `train.py`."""
    words = ["--val_list", *map(_mended, given.val_list)] if given.val_list else []
    if given.resume is not None and not is_original(given.resume):
        return [*words, "--resume", given.resume]
    recognition = [one.lower() for one in given.attribute or []] == [RECOGNITION]
    if not words and given.val_source and recognition:
        words = ["--val_list", "agedb_30", "cfp_fp", "lfw"]
    if given.resume is None:
        return words
    logging.warning("%s: its weights are taken, and not its optimiser's momenta", given.resume)
    return [*words, *([] if given.pretrained else ["--pretrained", given.resume])]


def is_original(checkpoint: str) -> bool:
    """Whether `--resume` names a checkpoint of the original: weights, which do not say how far a run was."""
    return checkpoint.endswith(".pth")


def _mended(listed: str) -> str:
    """The list `x.txt` for `x.tx`, a slip of the original's README, where only the first is there."""
    whole = f"{listed}t"
    if not listed.endswith(".tx") or Path(listed).exists() or not Path(whole).exists():
        return listed
    logging.warning("there is no list %s; %s is read", listed, whole)
    return whole


def _split(given: Namespace) -> list[str]:
    """What makes `LIST_train.txt` and `LIST_val.txt`."""
    try:
        part = Decimal(given.percent or "0.1")
    except InvalidOperation:
        raise UsageError(f"--percent {given.percent}: give a share, as 0.1") from None
    return ["--format", "text", "--names", "train", "val", "--shares", str(1 - part), str(part)]


_SOURCE, _DEST = Flag("--source", "-s", "--source"), Flag("--dest", "-d", "--dest")
_LIST = Flag("--image_list", "-i", "--image_list")
_NETWORK = (
    Flag("--net_mode", "-n", "--net_mode", "ir_se"),
    Flag("--depth", "-dp", "--depth", "50"),
    Flag("--workers", "-w", "--workers", "4"),
)

SCRIPTS: dict[str, Script] = {
    "train.py": Script(
        ("train", "--preset", "original"),
        (
            Flag("--epochs", "-e", "--epochs", "30"),
            Flag("--net_mode", "-n", "--net_mode", "ir_se"),
            Flag("--depth", "-d", "--depth", "50"),
            Flag("--lr", "-lr", "--lr", "0.001"),
            Flag("--batch_size", "-b", "--batch_size", "384"),
            Flag("--lr_plateau", "-lrp", "--lr_plateau", switch=True),
            Flag("--early_stop", "-es", "--early_stop", switch=True),
            Flag("--multi_gpu", "-m", "--multi_gpu", switch=True),
            Flag("--workers", "-w", "--workers", "4"),
            Flag("--num_classes", "-nc", "--num_classes"),
            Flag("--train_list", "-t", "--train_list"),
            Flag("--val_list", "-v", UNUSED, several=True),
            Flag("--train_source", "-ts", "--train_source"),
            Flag("--val_source", "-vs", "--val_source"),
            Flag("--attribute", "-a", "--attribute", several=True, lower=True),
            Flag("--head", "-hd", "--head", lower=True),
            Flag("--margin", "-margin", "--margin"),
            Flag("--prefix", "-p", "--prefix"),
            Flag("--pretrained", "-pt", "--pretrained"),
            Flag("--resume", "-r", UNUSED),
            Flag("--use_mask", "-us", "--use_mask", switch=True),
        ),
        _train,
    ),
    "predict.py": Script(
        ("predict", "--aligned", "--format", "original"),
        (
            *(_SOURCE, _LIST, _DEST),
            Flag("--batch_size", "-b", "--batch_size", "96"),
            Flag("--race_model", "-rm", "--race_model"),
            Flag("--gender_model", "-gm", "--gender_model"),
            Flag("--age_model", "-am", "--age_model"),
            *_NETWORK,
        ),
    ),
    "feature_extraction.py": Script(
        ("extract", "--aligned", "--format", "original"),
        (
            *(_SOURCE, _LIST, _DEST),
            Flag("--batch_size", "-b", "--batch_size", "250"),
            Flag("--model", "-m", "--model"),
            *_NETWORK,
        ),
    ),
    "feature_match.py": Script(
        ("feature_match",),
        (
            Flag("-probe", "-p", "--probe"),
            Flag("-gallery", "-g", "--gallery"),
            Flag("-output", "-o", "--output"),
            Flag("-dataset", "-d", "--dataset"),
            Flag("-group", "-gr", "--group"),
        ),
    ),
    "imagelist2lmdb.py": Script(
        ("pack",),
        (
            Flag("--image_list", "-l", "--list"),
            _SOURCE,
            Flag("--mask_source", "-ms", "--mask_source"),
            Flag("--workers", "-w", "--workers", "16"),
            Flag("--attribute", "-a", "--attribute", lower=True),
            _DEST,
        ),
    ),
    "folder2lmdb.py": Script(
        ("pack", "--attribute", "recognition"),
        (_SOURCE, Flag("--workers", "-w", "--workers", "16"), _DEST, Flag("--name", "-n", "--name")),
    ),
    "prepare_test_sets.py": Script(("pairs", "build"), (Flag("--rec_path", "-r", "--source"),)),
    "folder_to_list.py": Script(
        ("annotations", "folder", "--format", "text"),
        (Flag("--folder", "-f", "--source"), Flag("--output", "-o", "--dest")),
    ),
    "train_test_split.py": Script(
        ("annotations", "split"),
        (Flag("--image_list", "-i", ""), Flag("--percent", "-p", UNUSED, "0.1")),
        _split,
    ),
    "count_classes_train_test.py": Script(
        ("annotations", "count"),
        (Flag("--image_list", "-i", ""), Flag("--attribute", "-a", "--attribute", lower=True)),
    ),
}
