"""Would these devices work as ups.conf has them? Told before anything is written.

The linter's own rules judge them, as they would on the host after the deploy, but for those that
need to see the host. Standard library only.
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from releve.power.lint import rules_ups, rules_values
from releve.power.lint.drivers import GONE, OPTIONS
from releve.power.lint.finding import Level
from releve.power.lint.read import read_texts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_WORD = re.compile(r'[^"\\\s#=]+')  # what NUT's parser takes as one word without quotes
_QUOTED = re.compile(r'[^"#\\\n]*')  # what it takes between quotes
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
MATCHED = ("vendorid", "productid", "serial")
_USB_ID = re.compile(r"[0-9A-Fa-f]{4}")
SECRET = ("authPassword", "privPassword", "password")
# Judged in other words here, or on the host alone.
_ELSEWHERE = frozenset(
    ["UC_NO_SECTION", "UC_DRIVER_GONE", "UC_UNKNOWN_DRIVER", "UC_DUMMY_AS_SOURCE"]
)
RULES = {
    name: rule
    for name, rule in {**rules_ups.RULES, **rules_values.RULES}.items()
    if rule.level == Level.REFUSE and name not in _ELSEWHERE
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a device: `key` is name, driver, port or options.KEY."""

    device: str
    key: str
    text: str


def device_faults(
    devices: Sequence[Mapping[str, Any]], accepted: Collection[str] = ()
) -> Iterator[Fault]:
    """Yield what keeps devices of role nut_primary from working; delays are judged by `delays`.

    Each has name, driver, and may have port, options; `accepted` are findings of the linter whose
    risk is taken. Values that NUT could not read come alone: the rest would make no sense.
    """
    unreadable = [fault for one in devices for fault in _unreadable(one)]
    if unreadable:
        yield from unreadable
        return
    for one in devices:
        yield from _driver(one)
    yield from _by_the_linter(devices, accepted)


def _unreadable(one: Mapping[str, Any]) -> Iterator[Fault]:
    name = str(one["name"])
    if not NAME.fullmatch(name):
        yield Fault(name, "name", f'"{name}" has other signs than A-Z a-z 0-9 . _ -; rename it')
    for key in ("driver", "port"):
        value = str(one.get(key, "auto"))
        if not _WORD.fullmatch(value):
            yield Fault(name, key, f'"{value}" is no single word that NUT could read')
    for key, value in (one.get("options") or {}).items():
        at = f"options.{key}"
        if not _KEY.fullmatch(str(key)):
            yield Fault(name, at, "is no name that an option could have")
        elif value is None:
            yield Fault(name, at, "has no value")
        elif isinstance(value, bool):
            text = "NUT knows no true and false: leave out a flag that is not meant, else say 1"
            yield Fault(name, at, text)
        elif isinstance(value, list | dict):
            yield Fault(name, at, f"{json.dumps(value, default=str)} is no text and no number")
        elif not _QUOTED.fullmatch(str(value)):
            yield Fault(name, at, 'NUT cannot read a value with a ", a #, a \\ or two lines')
        elif key in MATCHED and not isinstance(value, str):
            text = f"{value} is a number to YAML, which drops zeros: put it into quotes"
            yield Fault(name, at, text)
        elif key in MATCHED[:2] and value.isdecimal() and not _USB_ID.fullmatch(value):
            yield Fault(name, at, f'"{value}" is no USB number; it has four signs, as in lsusb')


def _driver(one: Mapping[str, Any]) -> Iterator[Fault]:
    driver = str(one["driver"])
    if driver in GONE:
        text = f'"{driver}" is no longer in NUT 2.8; it is called "{GONE[driver]}" now'
        yield Fault(str(one["name"]), "driver", text)
    elif driver not in OPTIONS:
        near = difflib.get_close_matches(driver, OPTIONS, n=1, cutoff=rules_ups.NEAR)
        if near:
            text = f'NUT has no driver "{driver}"; did you mean "{near[0]}"?'
            yield Fault(str(one["name"]), "driver", text)


def _by_the_linter(
    devices: Sequence[Mapping[str, Any]], accepted: Collection[str]
) -> Iterator[Fault]:
    lines: list[str] = []
    places: dict[int, tuple[str, str]] = {}

    def write(line: str, name: str, key: str) -> None:
        lines.append(line)
        places[len(lines)] = (name, key)

    for one in devices:
        name = str(one["name"])
        write(f"[{name}]", name, "driver")
        write(f"  driver = {one['driver']}", name, "driver")
        write(f"  port = {one.get('port', 'auto')}", name, "port")
        for key, value in (one.get("options") or {}).items():
            write(f'  {key} = "{value}"', name, f"options.{key}")
    conf = read_texts({"ups.conf": "\n".join(lines) + "\n"})
    for identity, rule in RULES.items():
        for found in rule.findings(conf) if identity not in accepted else ():
            name, key = places.get(found.line, ("", ""))
            yield Fault(name, key, f"{found.text} ({identity})")
