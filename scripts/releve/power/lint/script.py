"""What CMDSCRIPT of upssched does for a name, as far as a shell script of the usual form tells."""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_STOPPING = re.compile(
    r"-c\s+fsd\b|\bshutdown[\"']?\s+(?:-|now\b|\+)|\bpoweroff\b|\bhalt\b|\b(?:tel)?init\s+0\b"
    r"|/shutdown\b|\bupsdrvctl\s+shutdown\b|\bsystemctl\s+(?:\S+\s+)?(?:poweroff|halt)\b"
)
_SAID = re.compile(r"(?<![\w-])(?:logger|echo|printf|wall|mail|notify-send)\b[^;&|\n]*")
_CASE = re.compile(r"\(?([^()]+)\)(.*)")
_FUNCTION = re.compile(r"(?:function\s+)?([A-Za-z_][\w-]*)\s*(?:\(\s*\)\s*)?\{(.*)")
_LONGEST = 1000  # characters of a line; what is longer is no line of a script
_VARIABLE = re.compile(r"^(?:export |readonly )?([A-Za-z_]\w*)=(.*)$", re.MULTILINE)
_DEPTH = 3  # functions that call functions


def stops(text: str, name: str) -> bool | None:
    """Tell whether a script stops hosts when it is called with a name; None: it does not tell.

    A script that has no case for the name does nothing with it, unless it compares it otherwise.
    """
    lines = [line.strip()[:_LONGEST] for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    code, functions = "\n".join(lines), dict(_blocks(lines, _FUNCTION, "}"))
    branch = _branch(lines, name)
    if branch is None:
        return None if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", code) else False
    variables = {key: value.strip().strip("'\"") for key, value in _VARIABLE.findall(code)}
    for _level in range(_DEPTH):
        branch = re.sub(
            r"\$\{?([A-Za-z_]\w*)\}?", lambda found: variables.get(found[1], found[0]), branch
        )
        called = [functions[word] for word in re.findall(r"[\w-]+", branch) if word in functions]
        branch += "\n" + "\n".join(called)
        functions = {key: body for key, body in functions.items() if body not in called}
    return _STOPPING.search(_SAID.sub("", branch)) is not None


def _branch(lines: list[str], name: str) -> str | None:
    """Return what the first pattern that fits a name leads to; None: none does."""
    for patterns, body in _blocks(lines, _CASE, ";;"):
        words = [one.strip(" \t'\"") for one in patterns.split("|")]
        if any(fnmatch.fnmatchcase(name, one) for one in words):
            return body
    return None


def _blocks(lines: list[str], head: re.Pattern[str], end: str) -> Iterator[tuple[str, str]]:
    """Yield name and body of each block: from a line that has its head to one that has its end."""
    name, body = "", [""]
    for line in lines:
        found = None if name else head.fullmatch(line)
        if found:
            name, body = found[1], [found[2]]
        elif name:
            body.append(line)
        if name and _ends(body, end):
            last = body.pop()
            yield name, "\n".join([*body, last.rpartition(end)[0]])
            name = ""
    if name:
        yield name, "\n".join(body)


def _ends(body: list[str], end: str) -> bool:
    """Tell whether the last line ends a block; a } may also be one of a variable."""
    last = body[-1].rstrip()
    if end == "}":
        return last.endswith(("; }", ";}")) if len(body) == 1 else last.startswith(end)
    return end in last or last == "esac"
