"""What drop-ins of systemd make of NUT's daemons, as far as files beside NUT's own tell.

A copy of /etc has them under systemd/system, a copy of / under etc/systemd/system. Read as systemd
reads them (systemd.syntax(7), systemd.unit(5)). The units that packages bring, in /usr/lib, are
those of Debian 13 and are not read.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from releve.errors import InputError
from releve.power.lint.model import FILES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DAEMONS = ("nut-driver@", "nut-driver", "nut-server", "nut-monitor")
GUESTS = "pve-guests.service"
TARGETS = ("nut.target", "nut-driver.target", "nut-driver-enumerator.service")
_PLACES = ("run/systemd/system", "etc/systemd/system", "systemd/system", ".")
_LARGEST = 100_000  # bytes
_NOWHERE = Path("/dev/null")


@dataclass(frozen=True, slots=True)
class Setting:
    """One assignment of a unit or of its drop-in; `file` as seen from the folder that was given."""

    unit: str
    file: str
    line: int
    section: str
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Units:
    """What was found: assignments in order, masked units, lines and files that systemd ignores."""

    settings: tuple[Setting, ...] = ()
    masked: tuple[tuple[str, str], ...] = ()  # unit, file
    ignored: tuple[tuple[str, int], ...] = ()  # file, line; 0: all of it
    has_guests: bool = False  # the host is one of Proxmox VE

    def of(self, unit: str, *keys: str) -> Iterator[Setting]:
        """Yield what is set for a unit; an instance of a template is the template, too."""
        for one in self.settings:
            if one.unit.partition("@")[0] == unit.partition("@")[0] and one.key in keys:
                yield one

    def last(self, unit: str, key: str) -> Setting | None:
        """Return the assignment that wins."""
        return next(iter(reversed(list(self.of(unit, key)))), None)


def nut_folder(folder: Path) -> Path:
    """Return where NUT's files are: here, or where a copy of /etc or of / has them."""
    for place in (folder, folder / "nut", folder / "etc" / "nut"):
        if any((place / name).is_file() for name in FILES):
            return place
    return folder


def read_units(folder: Path) -> Units:
    """Read what a folder has of units; raises InputError when a file may not be read."""
    found: dict[tuple[str, str], list[Setting]] = {}
    masked: dict[str, str] = {}
    ignored: list[tuple[str, int]] = []
    guests = (folder / "pve").is_dir() or (folder / "etc" / "pve").is_dir()
    for place in (folder / name for name in _PLACES):
        for path in _files(place):
            unit = path.parent.name.removesuffix(".d") if path.parent != place else path.name
            shown = path.relative_to(folder).as_posix()
            guests = guests or unit == GUESTS
            if path.parent == place and _is_mask(path):
                masked[unit] = shown
            elif not path.is_file():  # in a copy of /etc a link may lead to what was left behind
                continue
            elif path.suffix not in (".conf", ".service", ".target"):
                ignored.append((shown, 0))
            else:
                settings, wrong = parse(unit, shown, _text(path))
                found[unit, path.name] = settings
                ignored += [(shown, line) for line in wrong]
    in_order = [one for _key, settings in sorted(found.items(), key=_rank) for one in settings]
    return Units(tuple(in_order), tuple(sorted(masked.items())), tuple(ignored), guests)


def _rank(item: tuple[tuple[str, str], list[Setting]]) -> tuple[str, bool, str]:
    """Order a unit's own file before its drop-ins, which systemd takes by their names."""
    unit, name = item[0]
    return unit, name != unit, name


def _files(place: Path) -> Iterator[Path]:
    if not place.is_dir():
        return
    for path in sorted(place.iterdir()):
        unit = path.name.removesuffix(".d")
        if not _concerns_nut(unit):
            continue
        if path.name.endswith(".d") and path.is_dir():
            yield from sorted(one for one in path.iterdir() if one.is_file())
        elif unit == path.name and (path.is_file() or path.is_symlink()):
            yield path


def _concerns_nut(unit: str) -> bool:
    stem, _, kind = unit.rpartition(".")
    daemon = kind == "service" and (stem in DAEMONS or stem.startswith("nut-driver@"))
    return daemon or unit == GUESTS or unit in TARGETS


def _is_mask(path: Path) -> bool:
    """Tell whether a unit is masked: it leads nowhere, or is empty."""
    if path.is_symlink():
        return path.readlink() == _NOWHERE
    return path.is_file() and path.stat().st_size == 0


def _text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return stream.read(_LARGEST).decode("utf-8", "replace")
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror}); run this as root"
        raise InputError(message) from error


def parse(unit: str, file: str, text: str) -> tuple[list[Setting], list[int]]:
    """Return the assignments of a file, and the lines that systemd ignores."""
    settings: list[Setting] = []
    ignored: list[int] = []
    section = ""
    for number, line in _lines(text):
        key, equals, value = line.partition("=")
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif equals and key.strip() and section:
            settings.append(Setting(unit, file, number, section, key.strip(), value.strip()))
        else:
            ignored.append(number)
    return settings, ignored


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line with its number; a backslash at the end joins the next one to it."""
    joined, start = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if line.startswith(("#", ";")) or (not line and not joined):
            continue
        start = start or number
        joined += line.removesuffix("\\")
        if line.endswith("\\"):
            joined += " "
            continue
        yield start, joined.strip()
        joined, start = "", 0
    if joined.strip():
        yield start, joined.strip()


def words(value: str) -> list[str]:
    """Take a list of words apart, quotes as systemd has them."""
    try:
        return shlex.split(value)
    except ValueError:
        return value.split()


def has_word(settings: Iterable[Setting], word: str) -> bool:
    """Tell whether any of these lists has a word."""
    return any(word in words(one.value) for one in settings)
