"""Commands that are told by a word after their name what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from face_analysis.cli.wrong_words import meant
from face_analysis.errors import UsageError

Action = Callable[[Sequence[str]], int]


def run_action(command: str, actions: Mapping[str, Action], arguments: Sequence[str]) -> int:
    """Run the action that the first word names, and give its status; `--help` tells what there is.

    Raises UsageError for another word, or none.
    """
    words = list(arguments)
    if words and words[0] in actions:
        return actions[words[0]](words[1:])
    usage = f"usage: face-analysis {command} {'|'.join(actions)} [options]"
    if words and words[0] in ("-h", "--help"):
        width = max(map(len, actions))
        lines = [f"  {name:{width}}  {_first_line(action)}" for name, action in actions.items()]
        print(
            "\n".join([usage, "", *lines, "", f"`face-analysis {command} ACTION --help` lists its options."])
        )
        return 0
    wrong = f"no action `{words[0]}`{meant(words[0], actions)}" if words else "say what to do"
    raise UsageError(f"{wrong}\n{usage}")


def _first_line(action: Action) -> str:
    return (action.__doc__ or "").partition("\n")[0]
