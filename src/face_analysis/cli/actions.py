"""Commands that are told by a word after their name what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence

Action = Callable[[Sequence[str]], int]


def run_action(command: str, actions: Mapping[str, Action], arguments: Sequence[str]) -> int:
    """Run the action that the first word names, and give its status; without one tell those there are."""
    words = list(arguments)
    if words and words[0] in actions:
        return actions[words[0]](words[1:])
    asked = words in (["-h"], ["--help"])
    usage = f"usage: face-analysis {command} {'|'.join(actions)} [options]"
    print(usage, file=sys.stdout if asked else sys.stderr)
    return 0 if asked else 2
