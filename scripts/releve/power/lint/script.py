"""What CMDSCRIPT of upssched does for a name, as far as a shell script of the usual form tells."""

from __future__ import annotations

import fnmatch
import re

_STOPPING = re.compile(
    r"-c\s+fsd\b|\bshutdown[\"']?\s+(?:-|now\b|\+)|\bpoweroff\b|\bhalt\b|\b(?:tel)?init\s+0\b"
    r"|/shutdown\b|\bupsdrvctl\s+shutdown\b|\bsystemctl\s+(?:\S+\s+)?(?:poweroff|halt)\b"
)
_SAID = re.compile(r"(?<![\w-])(?:logger|echo|printf|wall|mail|notify-send)\b[^;&|\n]*")
_CASE = re.compile(r"^[ \t]*\(?([^()\n]+?)\)(.*?)(?:;;|^\s*esac\b)", re.DOTALL | re.MULTILINE)
_FUNCTION = re.compile(
    r"^[ \t]*(?:function\s+)?([A-Za-z_][\w-]*)\s*(?:\(\s*\))?\s*\{(.*?)^[ \t]*\}",
    re.DOTALL | re.MULTILINE,
)
_VARIABLE = re.compile(r"^[ \t]*(?:export\s+|readonly\s+)?([A-Za-z_]\w*)=(.*)$", re.MULTILINE)
_DEPTH = 3  # functions that call functions


def stops(text: str, name: str) -> bool | None:
    """Tell whether a script stops hosts when it is called with a name; None: it does not tell.

    A script that has no case for the name does nothing with it, unless it compares it otherwise.
    """
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    functions = dict(_FUNCTION.findall(code))
    branch = _branch(code, name)
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


def _branch(code: str, name: str) -> str | None:
    """Return what the first pattern that fits a name leads to; None: none does."""
    for patterns, body in _CASE.findall(code):
        words = [one.strip(" \t'\"") for one in patterns.split("|")]
        if any(fnmatch.fnmatchcase(name, one) for one in words):
            return str(body)
    return None
