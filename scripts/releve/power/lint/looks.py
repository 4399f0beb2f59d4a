"""Let a rule say what is wrong with one thing, and find it wherever there is such a thing."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from releve.power.lint.finding import Spot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from releve.power.lint.model import Configuration, Section, UpsmonConf, User

    Find = Callable[[Configuration], Iterator[Spot]]


def at_each_device(find: Callable[[Section], Iterable[Spot]]) -> Find:
    """Look at one device of ups.conf after the other."""

    @functools.wraps(find)
    def find_in(conf: Configuration) -> Iterator[Spot]:
        for one in conf.sections:
            yield from find(one)

    return find_in


def at_each_user(find: Callable[[User], Iterable[Spot]]) -> Find:
    """Look at one user of upsd.users after the other."""

    @functools.wraps(find)
    def find_in(conf: Configuration) -> Iterator[Spot]:
        for one in conf.users.users if conf.users else ():
            yield from find(one)

    return find_in


def at_upsmon(find: Callable[[UpsmonConf], Iterable[Spot]]) -> Find:
    """Look at upsmon.conf, where it is there."""

    @functools.wraps(find)
    def find_in(conf: Configuration) -> Iterator[Spot]:
        if conf.upsmon:
            yield from find(conf.upsmon)

    return find_in


def at_directive(upsmon: UpsmonConf, name: str, at: str = "") -> Spot:
    """Return where the line of upsmon.conf stands that wins; 0: nowhere."""
    found = upsmon.last(name)
    return Spot("upsmon.conf", found.number if found else 0, at)
