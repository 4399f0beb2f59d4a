"""Take apart what NUT says of a UPS: `upsc`, `upsc -j`, rows of `LIST VAR`, a .dev file.

A .dev file is what people send to NUT's device dumps library: lines as `upsc` prints them, and
`#CMD:` and `#RW:` lines; remarks of the reporter (`#BAD`, `#COMMENT`) stand behind a value
(docs/nut-ddl of networkupstools/nut-website). Standard library only.
"""

from __future__ import annotations

import codecs
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NAME = r"([A-Za-z][\w-]*(?:\.[\w-]+)+)"
# "battery.charge: 100", somebody's quotation, list or table of it, and as upsd itself says it:
# VAR ups1 battery.charge "100".
_PRINTED = re.compile(rf"[\s>*-]*{_NAME}\s*:(.*)", re.DOTALL)
_ROW = re.compile(rf"[\s|]*{_NAME}\s*\|([^|]*)\|?\s*", re.DOTALL)
_SPOKEN = re.compile(r'\s*VAR\s+\S+\s+([A-Za-z][\w.-]*)\s+"((?:[^"\\]|\\.)*)"\s*')
_COMMAND = re.compile(r"\s*(?:#\s*CMD:\s*|CMD\s+\S+\s+)([A-Za-z][\w.-]*)(.*)", re.DOTALL)
# As `upscmd -l` lists them.
_LISTED = re.compile(
    r"\s*(?:#\s*)?((?:load|shutdown|test|beeper|outlet|reset|bypass|calibrate|driver)\.[\w.-]+)"
    r" - (.*)",
    re.DOTALL,
)
_LONGEST = 4096  # characters of a line; NUT's own are shorter, and a search takes their square
_REMARK = re.compile(r"(?:^|\s)#\s*(BAD|COMMENT|NOTE|<-)(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Dump:
    """What a UPS publishes: raw values by NUT's names, and the commands that it lists.

    `dead_commands` are listed too, but whoever made the dump says that they do nothing.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    commands: tuple[str, ...] = ()
    dead_commands: tuple[str, ...] = ()


def parse(source: str | bytes) -> Dump:
    """Return what a text holds; lines of any other form (as `Init SSL ...`) mean nothing.

    A name that comes twice keeps its last value that is not empty.
    """
    text = source if isinstance(source, str) else decode(source)
    variables: dict[str, str] = {}
    commands: dict[str, bool] = {}
    for name, value in _of_json(text):
        _keep(variables, name, value)
    for line in text.replace("\0", "").splitlines():
        if len(line) > _LONGEST:
            continue
        if command := _COMMAND.fullmatch(line) or _LISTED.fullmatch(line):
            remark = _REMARK.search(command[2])
            dead = remark is not None and remark[1] == "BAD"
            commands[command[1]] = commands.get(command[1], True) and not dead
        elif spoken := _SPOKEN.fullmatch(line):
            _keep(variables, spoken[1], re.sub(r"\\(.)", r"\1", spoken[2]))
        elif printed := _PRINTED.fullmatch(line) or _ROW.fullmatch(line):
            _keep(variables, printed[1], _REMARK.sub("", printed[2]))
    return Dump(
        variables,
        tuple(sorted(commands)),
        tuple(sorted(name for name, works in commands.items() if not works)),
    )


def decode(data: bytes) -> str:
    """Return bytes as text, whatever program wrote them; never fails."""
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _of_json(text: str) -> Iterator[tuple[str, str]]:
    """Yield what `upsc -j` (since NUT 2.8.5), and programs like it, say; nothing of other texts."""
    if not text.lstrip().startswith("{"):
        return
    try:
        yield from _named(json.loads(text, parse_int=str, parse_float=str))
    except (ValueError, RecursionError):
        return


def _named(content: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401  # JSON
    for name, value in content.items() if isinstance(content, dict) else ():
        if isinstance(value, dict):
            yield from _named(value)
        elif isinstance(value, str) and re.fullmatch(_NAME, name):
            yield name, value


def _keep(variables: dict[str, str], name: str, value: str) -> None:
    value = value.strip()
    if value or name not in variables:
        variables[name] = value
