"""What the documentation says of commands and options in passing is true."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from face_analysis.cli.commands import COMMANDS, OPTIONS, options_of
from face_analysis.cli.option_table import option_table
from face_analysis.cli.words import sort_words
from face_analysis.cli.wrong_words import WrongWords
from tests.docs.markdown import FILES, ROOT, blocks_of, spans_of

KNOWN = {
    flag
    for command in OPTIONS
    for option in option_table(options_of(command)).values()
    for flag in option.flags
}
OTHERS = {"--help", "--version", "--cov", "--nnodes", "--nproc-per-node", "--rdzv-backend", "--rdzv-endpoint"}
"""Options of every command, of pytest and of torchrun."""
PLACEHOLDER = re.compile(r"\[.*?\]|\.\.\.|\bCOMMAND\b.*|--help")


def check_words(text: str) -> None:
    """Raises UsageError where a command line has an option or a word that its command does not have."""
    words = shlex.split(PLACEHOLDER.sub("", text), comments=True)
    command = " ".join(words[:2]) if " ".join(words[:2]) in OPTIONS else words[0] if words else ""
    if command in OPTIONS:
        table = option_table(options_of(command))
        sort_words(table, words[len(command.split()) :], WrongWords(command, table))
    else:
        assert not words or words[0] in COMMANDS, f"no command {words[0]}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_options_named_in_the_text_exist(file: Path) -> None:
    wrong = [
        f"{file}:{number}: {flag}"
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        for flag in re.findall(r"(?<=`)--[a-z_]+", line)
        if flag not in KNOWN | OTHERS
    ]
    assert wrong == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_commands_named_in_the_text_take_the_words_they_are_given(file: Path) -> None:
    for _, text in spans_of(file):
        check_words(text.removeprefix("face-analysis "))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_commands_for_several_machines_take_the_words_they_are_given(file: Path) -> None:
    for block in blocks_of(file):
        for _, text in block.commands:
            if not block.python and (found := re.search(r"torchrun .*?-m face_analysis (.*)", text)):
                check_words(found[1].replace("$resume", ""))
