"""What CMDSCRIPT of upssched does for a name, as far as a shell script of the usual form tells."""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_STOPPING = re.compile(
    r"-c\s+[\"']?fsd\b|\bshutdown[\"']?\s+(?:-|now\b|\+)|\bpoweroff\b|\bhalt\b|\b(?:tel)?init\s+0\b"
    r"|/shutdown\b|\bupsdrvctl\s+shutdown\b|\bsystemctl\s+(?:\S+\s+)?(?:poweroff|halt)\b"
)
# Works for the user that upssched runs as, too: upsmon, another's rights, another host's.
_BY_ANYBODY = re.compile(r"-c\s+[\"']?fsd\b|\b(?:sudo|doas|pkexec|ssh)\b")
_WAITS = re.compile(r"(?<![\w-])sleep\s")
_LOOKS = re.compile(r"(?<![\w-])(?:if|while|until|\[|test|grep)\s")
_SAID = re.compile(r"(?<![\w-])(?:logger|echo|printf|wall|mail|notify-send)\b[^;&|\n]*")
_CASE = re.compile(r"\(?([^()]+)\)(.*)")
_FUNCTION = re.compile(r"(?:function\s+)?([A-Za-z_][\w-]*)\s*(?:\(\s*\)\s*)?\{(.*)")
_LONGEST = 1000  # characters of a line; what is longer is no line of a script
_VARIABLE = re.compile(r"^(?:export |readonly )?([A-Za-z_]\w*)=(.*)$", re.MULTILINE)
_DEPTH = 3  # functions that call functions
_CASES, _ESAC = re.compile(r"\bcase\s.*?\sin\b"), re.compile(r"\besac\b")
_OPENS = re.compile(r"(?:^|[|;&]\s*)(?:if|while|until|for|select)\s")
_CLOSES = re.compile(r"(?:^|[;\s])(?:fi|done)\b")
_SHELL = re.compile(r"(?!#!)|#!.*sh\b")
_SETS = re.compile(r"(?:export |readonly )?\w+=(?:\"[^\"]*\"|'[^']*'|[^\s\"']*);?")
_LEAVES = re.compile(r"(?<![\w-])(?:exit|exec|return)\b")
_GUARD = re.compile(r"&&|\|\||(?<!\S)(?:\[|test)\s")


def stops(text: str, name: str) -> bool | None:
    """Tell whether a script stops hosts when it is called with a name; None: it does not tell.

    A script that has no case for the name does nothing with it, unless it compares it otherwise;
    what stands outside of each case it does for all.
    """
    done = _done(text, name)
    return done if done is None or isinstance(done, bool) else _STOPPING.search(done) is not None


def stops_as_root_only(text: str, name: str) -> bool:
    """Tell whether a script, called with a name, stops its host in a way that only root may."""
    done = _done(text, name)
    found = isinstance(done, str) and _STOPPING.search(done) is not None
    return found and _BY_ANYBODY.search(str(done)) is None


def waits(text: str, name: str) -> bool:
    """Tell whether a script, called with a name, waits and looks again before it stops hosts."""
    done = _done(text, name)
    stop = _STOPPING.search(done) if isinstance(done, str) else None
    before = str(done)[: stop.start()] if stop else ""
    wait = _WAITS.search(before)
    return wait is not None and _LOOKS.search(before, wait.end()) is not None


def _done(text: str, name: str) -> str | bool | None:
    """Return what is run for a name; False: nothing, None: the script does not tell."""
    lines = [line.strip()[:_LONGEST] for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    code, functions = "\n".join(lines), dict(_blocks(lines, _FUNCTION, "}"))
    variables = {key: value.strip().strip("'\"") for key, value in _VARIABLE.findall(code)}
    branch = _branch(lines, name)
    done = None if branch is None else _run(branch, variables, functions)
    if _SHELL.match(text) and not (branch and _LEAVES.search(branch)):
        always, perhaps = (_run(one, variables, functions) for one in _outside(lines))
        if _STOPPING.search(always):
            return f"{done or ''}\n{always}"
        if done is not None and not _STOPPING.search(done) and _STOPPING.search(perhaps):
            return None
    if done is None:
        return None if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", code) else False
    return done


def _run(code: str, variables: dict[str, str], functions: dict[str, str]) -> str:
    """Return code with its variables and the functions that it calls, and without what it says."""
    for _level in range(_DEPTH):
        code = re.sub(
            r"\$\{?([A-Za-z_]\w*)\}?", lambda found: variables.get(found[1], found[0]), code
        )
        words = {*re.findall(r"[\w-]+", code)}
        called = [body for word, body in functions.items() if word in words]
        code += "\n" + "\n".join(called)
        functions = {key: body for key, body in functions.items() if body not in called}
    return _SAID.sub("", code)


def _outside(lines: list[str]) -> tuple[str, str]:
    """Return what stands outside of each case and function: what always runs, and what may run."""
    always: list[str] = []
    perhaps: list[str] = []
    cases = depth = 0
    inside = left = False  # a function; the script, perhaps
    for line in lines:
        if inside or (not cases and _FUNCTION.fullmatch(line)):
            inside = not line.startswith("}") and not line.endswith(("; }", ";}"))
            continue
        cases += len(_CASES.findall(line))
        if not cases:
            depth += len(_OPENS.findall(line))
            sure = not (depth or left or _GUARD.search(line))
            if not _SETS.fullmatch(line):
                (always if sure else perhaps).append(line)
            left = left or _LEAVES.search(line) is not None
            depth = max(0, depth - len(_CLOSES.findall(line)))
        cases = max(0, cases - len(_ESAC.findall(line)))
    return "\n".join(always), "\n".join(perhaps)


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
