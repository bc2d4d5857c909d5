"""Every command: what it does, and the dataclass of its options, which is imported when asked for."""

from __future__ import annotations

import importlib

GROUPS = {
    "Photos": {
        "predict": "find the faces of photos, and estimate race, gender and age of each",
        "compare": "say how alike the faces of two photos are, and whether they are one person",
        "align": "write the faces of photos as aligned chips",
        "extract": "write embeddings of the faces of photos as a feature set",
    },
    "Data": {
        "annotations": "read the labels of public sets; split and count image lists",
        "audit": "find copies, contradicting labels and leaks between lists; write lists without them",
        "pack": "pack a list or a folder of images into one LMDB file",
        "pairs": "build verification sets of .bin files, or of photos and a published protocol",
    },
    "Models": {
        "train": "train race, gender and age models, or recognition",
        "calibrate": "fit a model's certainty to labelled images, and store it in its card",
        "evaluate": "measure predictions against labels, or a model on verification sets",
        "models": "list, show, find and check models; import those of the original system",
    },
    "Matching": {
        "match": "compare all pairs of embeddings: rates, distributions and the most extreme pairs",
        "search": "find the faces of a gallery most like each probe, and measure it where people are known",
        "report": "draw what a match found, or training runs side by side: figures, tables and a page",
    },
    "This program": {
        "demo": "run the whole job on small generated images",
        "completion": "print a script by which a shell completes commands and options",
    },
}
NEEDS = {
    **dict.fromkeys(
        ("audit", "calibrate", "evaluate", "feature_match", "match", "pairs", "report"), "reports"
    ),
    **dict.fromkeys(("demo", "train"), "train"),
    "pack": "pack",
}
"""The extra with the packages of a command that needs more than predictions do."""
COMMANDS = {name: text for group in GROUPS.values() for name, text in group.items()}

BEGIN = (
    "",
    "Begin with:",
    "  face-analysis predict photo.jpg             prints a line a face",
    "  face-analysis predict -s photos -d results  writes a table of the faces of a folder",
    "",
    "`face-analysis COMMAND --help` lists the options of a command.",
)

OPTIONS = {
    "align": "align:AlignOptions",
    "annotations count": "annotations:CountOptions",
    "annotations folder": "annotations:FolderOptions",
    "annotations normalize": "annotations:NormalizeOptions",
    "annotations split": "annotations:SplitOptions",
    "audit": "audit:AuditOptions",
    "calibrate": "calibrate:CalibrateOptions",
    "compare": "compare:CompareOptions",
    "completion": "completion:CompletionOptions",
    "demo": "demo:DemoOptions",
    "evaluate": "evaluate:EvaluateOptions",
    "extract": "extract:ExtractOptions",
    "feature_match": "feature_match:FeatureMatchOptions",
    "match": "match:MatchOptions",
    "models import": "models:ImportOptions",
    "models list": "models:ListOptions",
    "models path": "models:PathOptions",
    "models show": "models:ShowOptions",
    "models verify": "models:VerifyOptions",
    "pack": "pack:PackOptions",
    "pack verify": "pack:VerifyOptions",
    "pairs build": "pairs:BuildOptions",
    "predict": "predict:PredictOptions",
    "report": "report:ReportOptions",
    "search": "search:SearchOptions",
    "train": "train:TrainOptions",
}
"""`module:class` in this folder of each command's options, also of the original's own `feature_match`."""


def program(command: str) -> str:
    """How a command is called: a script of the original system that has no other name by its file."""
    return f"face-analysis {command}" if command.split()[0] in COMMANDS else f"{command}.py"


def options_of(command: str) -> type:
    """The dataclass of a command's options. Loads the command's module, and nothing heavy with it."""
    module, name = OPTIONS[command].split(":")
    found: type = getattr(importlib.import_module(f"face_analysis.cli.{module}"), name)
    return found


def actions_of(command: str) -> dict[str, str]:
    """The words that may follow a command's name, as `build` follows `pairs`, each with its full name."""
    return {name.split()[1]: name for name in OPTIONS if name.startswith(f"{command} ")}


def overview() -> str:
    """What a newcomer reads first: the commands by their use, and lines to begin with."""
    width = max(map(len, COMMANDS))
    lines = ["usage: face-analysis COMMAND [options]"]
    for group, commands in GROUPS.items():
        lines += ["", f"{group}:", *(f"  {name:{width}}  {text}" for name, text in commands.items())]
    return "\n".join([*lines, *BEGIN])
