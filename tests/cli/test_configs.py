"""Files of `--config`: what a command writes starts it again."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from face_analysis.cli.commands import OPTIONS, options_of
from face_analysis.cli.option_table import Option
from face_analysis.cli.parser import parse
from face_analysis.errors import MissingFileError, UsageError
from face_analysis.options import to_yaml
from tests.cli.command_words import table_of
from tests.cli.conftest import Run

TEXTS = st.text(st.characters(exclude_characters="\0"))  # of any alphabet, also halves of surrogate pairs


def one_value(option: Option) -> st.SearchStrategy[Any]:
    """Any value of an option's kind, in its range."""
    within = option.within
    low, high = max(within.low, within.over), min(within.high, within.below)
    least, most = low if math.isfinite(low) else None, high if math.isfinite(high) else None
    if option.choices:
        return st.sampled_from(option.choices)
    if option.kind is int:
        return st.integers(least, most)  # type: ignore[arg-type]  # their ends are whole numbers
    if option.kind is float:
        return st.floats(
            least,
            most,
            exclude_min=math.isfinite(within.over),
            exclude_max=math.isfinite(within.below),
            allow_nan=False,
            allow_infinity=False,
        )
    return {bool: st.booleans(), str: TEXTS, Path: TEXTS.filter(bool).map(Path)}[option.kind]


def values(option: Option) -> st.SearchStrategy[Any]:
    found = one_value(option)
    if option.many:
        found = st.lists(found, min_size=int(option.required), max_size=4).map(tuple)
    return st.one_of(st.none(), found) if option.default is None else found


@pytest.mark.parametrize("command", OPTIONS)
@given(data=st.data())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_options_of_a_command_come_back_from_their_file(
    command: str, data: st.DataObject, tmp_path: Path
) -> None:
    kind = options_of(command)
    options = kind(**{name: data.draw(values(option), name) for name, option in table_of(command).items()})
    config = tmp_path / "config.yaml"
    config.write_text(to_yaml(options), encoding="utf-8")
    assert parse(command, kind, ["--config", str(config)]) == options


def test_the_file_of_photos_given_as_words_makes_the_same_predictions(
    run: Run, models: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    run(f"predict {photos}/hopper.jpg {photos}/sub/astronaut.jpg -m {models['joint']} -d {tmp_path}/a")
    config = next((tmp_path / "a").glob("*config.yaml"))
    assert run(f"predict --config {config} -d {tmp_path}/b")[0] == 0
    first, second = (sorted((tmp_path / name).glob("*_predictions.csv")) for name in "ab")
    assert first[0].read_bytes() == second[0].read_bytes()
    assert len(first[0].read_text().splitlines()) == 3


def test_an_option_on_the_command_line_wins_wherever_it_stands(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("probes: a\ngallery: g\noutput: o\ntail: 5\ngroup: [race]\nresume: true\n")
    kind = options_of("match")
    plain = parse("match", kind, ["--config", str(config)])
    assert (plain.probes, plain.gallery, plain.tail, plain.resume) == (Path("a"), Path("g"), 5, True)
    for words in ("--tail 7 --config {} b", "b --config {} --tail 7"):
        options = parse("match", kind, words.format(config).split())
        assert (options.probes, options.gallery, options.tail) == (Path("b"), Path("g"), 7)
    replaced = parse("match", kind, f"--config {config} --group gender age --resume=false".split())
    assert (replaced.group, replaced.resume) == (("gender", "age"), False)


def test_null_on_the_command_line_takes_an_option_of_the_file_back(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("probes: a\noutput: o\nsubject: path\n")
    words = f"--config {config} --subject null"
    assert parse("match", options_of("match"), words.split()).subject is None


def test_the_later_of_two_files_counts(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("probes: a\noutput: o\ntail: 5\n")
    (tmp_path / "b.yaml").write_text("tail: 6\n")
    words = f"--config {tmp_path}/a.yaml --config {tmp_path}/b.yaml"
    assert parse("match", options_of("match"), words.split()).tail == 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("probes: a\noutput: o\ntial: 5\n", "c.yaml: `match` has no option `tial`; did you mean `tail`?"),
        ("probes: a\noutput: o\nepochs: 5\n", "c.yaml: `match` has no option `epochs`; it is an option of"),
        ("probes: a\noutput: o\nfmr: often\n", "c.yaml: `fmr: often`: give a number"),
        ("probes: a\noutput: o\nfmr: 2\n", "c.yaml: `fmr: 2.0`: must be over 0 and at most 1"),
        (
            "probes: a\noutput: o\nscores: npz\n",
            "c.yaml: `scores: npz`: choose none, npy or parquet; did you",
        ),
        ("probes: a\noutput: o\nresume: perhaps\n", "c.yaml: `resume: perhaps`: give true or false"),
        ("probes: [a, b]\noutput: o\n", "c.yaml: `probes: a, b`: give the name of a file or folder"),
        ("probes: a\noutput: o\ngroup: {a: b}\n", "c.yaml: `group: {'a': 'b'}`: give a word or several"),
        ("probes: a\n", "`--output` is missing"),
        ("probes: a\noutput: ''\n", "`--output` is empty"),
        ("probes: [a\noutput: o\n", "c.yaml:2: not YAML"),
        ("\0", "c.yaml: not YAML"),
        ("- probes\n", "c.yaml: --config takes lines `option: value`"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_the_file(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UsageError, match=re.escape(message)):
        parse("match", options_of("match"), ["--config", str(tmp_path / "c.yaml")])


def test_a_file_that_is_not_there_or_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"file of --config not found: .*absent.yaml"):
        parse("match", options_of("match"), ["--config", str(tmp_path / "absent.yaml")])
    with pytest.raises(UsageError, match="Is a directory"):
        parse("match", options_of("match"), ["--config", str(tmp_path)])
