"""What a command says about words that it cannot use: what was meant, then how it is called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from face_analysis.cli.commands import COMMANDS, OPTIONS, actions_of, options_of, program
from face_analysis.cli.option_table import Option, option_table
from face_analysis.errors import UsageError

KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a word",
    "Path": "the name of a file or folder",
}


def meant(word: str, known: Iterable[str]) -> str:
    """`; did you mean ...?` with the nearest of the known words, or nothing."""
    names = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), names, 1, 0.6)
    return f"; did you mean `{names[near[0]]}`?" if near else ""


def usage(command: str, table: Mapping[str, Option]) -> str:
    """One line: the words and the options that a command needs."""
    words = [
        name if option.required else f"[{name}]"
        for name, option in (
            (f"{option.shown}{' ...' * option.many}", option)
            for option in table.values()
            if option.opt.positional
        )
    ]
    needed = [
        f"{option.shown} {option.metavar}"
        for option in table.values()
        if option.required and not option.opt.positional
    ]
    return " ".join([program(command), *words, *needed, "[options]"])


class WrongWords:
    """The errors of one command's words."""

    def __init__(self, command: str, table: Mapping[str, Option]) -> None:
        self.command = command
        self.table = table

    def _error(self, text: str) -> UsageError:
        return UsageError(
            f"{text}\nusage: {usage(self.command, self.table)}\n"
            f"`{program(self.command)} --help` lists the options"
        )

    def unknown(self, flag: str) -> UsageError:
        """No option is written like this."""
        name = flag.lstrip("-")
        positional = self.table.get(name)
        if positional is not None and positional.opt.positional:
            return self._error(f"`{flag}`: {positional.shown} is given as a word, without an option")
        elsewhere = _commands_with(flag)
        names = ["help", *(option.name for option in self.table.values() if not option.opt.positional)]
        if elsewhere and not get_close_matches(name, names, 1, 0.9):
            return self._error(f"`{flag}` is an option of {elsewhere}, not of `{self.command}`")
        longer = sorted(own for own in names if len(name) > 2 and own.startswith(name))
        hint = f"; did you mean `--{longer[0]}`?" if longer else meant(name, names).replace("`", "`--", 1)
        return self._error(f"no option `{flag}`{hint}")

    def several(self, flag: str, longer: Sequence[str]) -> UsageError:
        """The beginning of several options."""
        return self._error(f"`{flag}` can mean {_listed(longer, 'or')}: write one of them out")

    def loose_word(self, word: str, words: Sequence[str]) -> UsageError:
        """A word more than the command takes."""
        actions = actions_of(self.command)
        if near := meant(word, actions):
            return self._error(f"`{word}` is a word too many{near.replace('`', f'`{self.command} ', 1)}")
        before = words[words.index(word) - 1] if words.index(word) else ""
        switches = {flag for option in self.table.values() if option.switch for flag in option.flags}
        if before in switches:
            return self._error(f"`{word}` is a word too many: `{before}` takes no value")
        takers = [name for name in ("source", "list", "image_list", "model") if name in self.table]
        if takers and not any(option.opt.positional for option in self.table.values()):
            return self._error(f"`{word}` needs an option before it, such as `--{takers[0]} {word}`")
        return self._error(f"`{word}` is a word too many")

    def value_of_switch(self, option: Option, value: str | None) -> UsageError:
        """A value for an option that takes none."""
        return self._error(f"`{option.shown}={value}`: `{option.shown}` takes no value")

    def no_value(self, option: Option) -> UsageError:
        """No value for an option that takes one."""
        return self._error(f"`{option.shown}` needs a value: {option.opt.help}")

    def missing(self, options: Sequence[Option], greedy: str | None) -> UsageError:
        """Options that must be given; `greedy` is one that takes all words after it."""
        lacking = "; ".join(f"`{option.shown}` is missing: {option.opt.help}" for option in options)
        taken = f" (all words after `--{greedy}` are its values)" if greedy else ""
        return self._error(lacking + taken)

    def value(self, option: Option, value: str, file: str | None) -> UsageError:
        """A value that is not of the option's kind, on the command line or in a file."""
        where = as_given(option, value, file)
        if option.choices:
            text = f"choose {_listed(option.choices, 'or', mark='')}{meant(value, option.choices)}"
            return UsageError(f"{where}: {text}")
        kind = "true or false" if option.switch else KINDS[option.kind.__name__]
        return UsageError(f"{where}: give {kind}{' or several' * option.many}")

    def unknown_key(self, key: str, file: str) -> UsageError:
        """A name in a configuration file that is no option."""
        hint = meant(key, self.table)
        elsewhere = "" if hint else _commands_with(f"--{key}")
        other = f"; it is an option of {elsewhere}" if elsewhere else ""
        return UsageError(f"{file}: `{self.command}` has no option `{key}`{hint or other}")


def wrong_command(word: str) -> str:
    """What to say of a first word that is no command."""
    if word.startswith("-"):
        return f"no command before `{word}`: give the command first"
    return f"no command `{word}`{meant(word, COMMANDS)}"


def as_given(option: Option, value: object, file: str | None) -> str:
    """A value as it stands in its file or on the command line."""
    if file:
        return f"{file}: `{option.name}: {value}`"
    return f"`{value}`" if option.opt.positional else f"`{option.shown} {value}`"


def _commands_with(flag: str) -> str:
    """The commands that have a flag, at most three of them; empty if there is none."""
    found = [
        command
        for command in OPTIONS
        if command.split()[0] in COMMANDS
        for option in option_table(options_of(command)).values()
        if flag in option.flags or (option.opt.positional and flag == f"--{option.name}")
    ]
    return _listed(found[:3], "and") if found else ""


def _listed(names: Sequence[str], last: str, mark: str = "`") -> str:
    marked = [f"{mark}{name}{mark}" for name in names]
    return marked[0] if len(marked) == 1 else f"{', '.join(marked[:-1])} {last} {marked[-1]}"
