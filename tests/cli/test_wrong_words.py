"""What each command says of words that it cannot use."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

import face_analysis.cli
from face_analysis.cli.commands import COMMANDS, OPTIONS, actions_of, options_of
from face_analysis.cli.parser import parse
from tests.cli.command_words import needed_words, table_of, value_of
from tests.cli.conftest import Run

PYTHON_NAMES = (
    *("<class", "typing.", "Literal[", "NoneType", "Path_", "PosixPath", "Namespace", "Error:", "Parser"),
    *("Traceback", "argument --", "element 1", "Union"),
)
Said = Callable[..., str]
EVERY = [command for command in OPTIONS if command != "feature_match"]


@pytest.fixture
def said(run: Run) -> Said:
    """What a command says of wrong words: at most six lines on stderr, without names of Python."""

    def call(*words: str) -> str:
        status, out, err = run(words)
        assert (status, out) == (2, ""), err
        assert len(err.splitlines()) <= 6
        assert not [name for name in PYTHON_NAMES if name in err], err
        return err

    return call


@pytest.mark.parametrize("command", EVERY)
def test_an_unknown_option_is_named_before_the_usage(said: Said, command: str) -> None:
    lines = said(*command.split(), "--xyzzy", "3").splitlines()
    assert "no option `--xyzzy`" in lines[0]
    assert lines[1].startswith(f"usage: face-analysis {command}")
    assert len(lines) == 3


@pytest.mark.parametrize("command", EVERY)
def test_a_mistyped_option_gets_the_one_that_was_meant(said: Said, command: str) -> None:
    for option in table_of(command).values():
        if option.flags:
            err = said(*command.split(), *needed_words(command), f"--{option.name}xx", "1")
            assert f"did you mean `--{option.name}`?" in err


@pytest.mark.parametrize("command", EVERY)
def test_a_missing_option_is_named_with_its_use(said: Said, command: str) -> None:
    for option in table_of(command).values():
        if option.required:
            err = said(
                *command.split(), *(needed_words(command, without=option.name) if option.flags else ())
            )
            assert f"`{option.shown}` is missing: {option.opt.help}" in err


@pytest.mark.parametrize("command", EVERY)
def test_an_option_without_its_value_is_told_what_it_is_for(said: Said, command: str) -> None:
    for option in table_of(command).values():
        if option.flags and not option.switch:
            err = said(*command.split(), *needed_words(command, without=option.name), option.flags[0])
            assert f"`--{option.name}` needs a value: {option.opt.help}" in err


@pytest.mark.parametrize("command", EVERY)
def test_a_value_of_the_wrong_kind_is_told_the_right_one(said: Said, command: str) -> None:
    for option in table_of(command).values():
        wrong, right = "1.5", f"choose {option.choices[0]}" if option.choices else ""
        if option.kind is int:
            right = "give a whole number"
        elif option.kind is float:
            wrong, right = "much", "give a number"
        elif option.kind is Path:
            wrong, right = "", "is empty"
        if right and option.flags:
            words = [*command.split(), *needed_words(command, without=option.name)]
            assert right in said(*words, f"--{option.name}={wrong}")


@pytest.mark.parametrize("command", EVERY)
def test_a_word_too_many_is_named(said: Said, command: str) -> None:
    loose = [option for option in table_of(command).values() if option.opt.positional]
    if not any(option.many for option in loose):
        assert "`surplus`" in said(*command.split(), *[value_of(option) for option in loose], "surplus")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("prdict", "did you mean `predict`?"),
        ("annotations normalze", "did you mean `normalize`?"),
        ("models shwo", "did you mean `show`?"),
        ("pairs biuld", "did you mean `build`?"),
        ("pack verfy x.lmdb -d y", "did you mean `pack verify`?"),
        ("annotations normalize utkfce -d x", "did you mean `utkface`?"),
        ("predict --formt csv", "did you mean `--format`?"),
        ("predict --faces larges", "did you mean `largest`?"),
        ("train -head arcface", "did you mean `--head`?"),
        ("train -batch 3", "did you mean `--batch_size`?"),
        ("extract -source photos -d x", "did you mean `--source`?"),
        ("predict --fmr 0.1", "`--fmr` is an option of `compare`, `match` and `report`, not of `predict`"),
        ("extract -o x", "`-o` is an option of `demo`, `match` and `search`, not of `extract`"),
        ("align --dest chips photos", "DEST is given as a word, without an option"),
        ("extract photos -d x", "such as `--source photos`"),
        ("pack -d x --align yes", "`--align` takes no value"),
        ("pack -d x --align=yes", "`--align` takes no value"),
        ("predict --f csv", "`--f` can mean `--faces` or `--format`"),
        ("match --group race features -o x", "all words after `--group` are its values"),
        ("--resume predict", "give the command first"),
    ],
)
def test_what_was_meant_is_said(said: Said, words: str, meant: str) -> None:
    assert meant in said(*words.split())


def test_a_photo_in_the_place_of_a_command_leads_to_predict(said: Said, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").touch()
    assert f"face-analysis predict {tmp_path / 'photo.jpg'}" in said(str(tmp_path / "photo.jpg"))


@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in OPTIONS])
def test_a_command_without_its_action_tells_those_there_are(said: Said, run: Run, command: str) -> None:
    assert all(action in said(command) for action in actions_of(command))
    status, out, _ = run(f"{command} --help")
    assert status == 0
    assert all(action in out for action in actions_of(command))


def _name(options: ast.expr) -> str:
    """The dataclass that `parse` is given, itself or with other defaults."""
    inner = options.args[0] if isinstance(options, ast.Call) else options
    assert isinstance(inner, ast.Name)
    return inner.id


def test_every_command_that_is_parsed_is_in_the_table_of_options() -> None:
    """Else its options are neither completed nor known to the messages."""
    parsed = {
        node.args[0].value: _name(node.args[1])
        for file in Path(face_analysis.cli.__path__[0]).glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "parse"
    }
    assert {command: place.split(":")[1] for command, place in OPTIONS.items()} == parsed


@pytest.mark.parametrize("command", OPTIONS)
def test_words_and_options_may_come_in_any_order(command: str) -> None:
    table = table_of(command)
    flagged = [f"{one.flags[-1]}={value_of(one)}" for one in table.values() if one.flags and not one.switch]
    loose = [value_of(one) for one in table.values() if one.opt.positional]
    kind = options_of(command)
    expected = parse(command, kind, [*loose, *flagged])
    assert parse(command, kind, [*flagged, *loose]) == expected
    assert parse(command, kind, [*flagged[:1], *loose, *flagged[1:]]) == expected
