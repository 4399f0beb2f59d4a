"""upsmon.conf: what upsmon tells, and by whom."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from releve.power.lint import looks, releases
from releve.power.lint.finding import Rules, Spot
from releve.power.lint.rules_upsmon import has_event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.power.lint.model import Configuration, UpsmonConf

RULES = Rules()
FILE = "upsmon.conf"
# A conversion of printf, but for those that name their argument (%1$s).
_CONVERSION = re.compile(r"%[-+ #0-9.hlLqjzt]*([*A-Za-z%])")


@RULES.refuse(
    "UM_NOTIFYMSG_CRASH",
    "upsmon of NUT {nut} crashes as soon as it tells of {at}: its message asks for more than the"
    " one %s that there is",
    "write %s once, for the UPS, and %% for a percent sign",
)
def message_crash(conf: Configuration) -> Iterator[Spot]:
    """Find a format for which snprintf() in do_notify() reads what is no text."""
    safe = conf.release >= releases.SAFE_MESSAGES
    for line in conf.upsmon.all("NOTIFYMSG") if conf.upsmon and not safe else ():
        asked = [one for one in _CONVERSION.findall(line.words[2]) if one != "%"]
        if has_event(conf, line.words[1]) and ({"s", "n"} & {*asked[1:]} or asked[:1] == ["n"]):
            yield Spot(FILE, line.number, line.words[1].upper())


@RULES.warn(
    "UM_BAD_FLAG",
    "NOTIFYFLAG and NOTIFYMSG of NUT {nut} know no {at}",
    "join SYSLOG, WALL, EXEC or IGNORE with + and no blank, after an event of upsmon.conf(5)",
)
def bad_flag(conf: Configuration) -> Iterator[Spot]:
    """Find a flag or an event that upsmon ignores."""
    for line in conf.upsmon.settings if conf.upsmon else ():
        if line.words[0] in ("NOTIFYFLAG", "NOTIFYMSG"):
            event = releases.with_release(line.words[1], releases.EVENTS)
            wrong = [] if has_event(conf, line.words[1]) else [event]
            if line.words[0] == "NOTIFYFLAG":
                flags = [*line.words[2].split("+"), *line.words[3:]]
                known = ("SYSLOG", "WALL", "EXEC", "IGNORE")
                wrong += [one for one in flags if one not in known or one in line.words[3:]]
            yield from (Spot(FILE, line.number, one) for one in wrong)


@RULES.note(
    "UM_NOTIFYCMD_CUT",
    "NOTIFYCMD is {at} alone: NUT takes only its first word, or what is in quotes",
    "write a script and name it, without arguments",
)
@looks.at_upsmon
def notify_cut(upsmon: UpsmonConf) -> Iterator[Spot]:
    """Find a command that lost its arguments."""
    found = upsmon.last("NOTIFYCMD")
    if found and len(found.words) > 2:  # noqa: PLR2004  # the directive and its value
        yield Spot(FILE, found.number, found.words[1])


@RULES.note(
    "UM_EXEC_WITHOUT_NOTIFYCMD",
    "an event has EXEC and there is no NOTIFYCMD to execute",
    "add NOTIFYCMD, or leave EXEC out",
)
@looks.at_upsmon
def exec_nothing(upsmon: UpsmonConf) -> Iterator[Spot]:
    """Find a call of nothing."""
    if upsmon.value("NOTIFYCMD") is None:
        flags = upsmon.all("NOTIFYFLAG")
        found = [line for line in flags if "EXEC" in line.words[2].split("+")]
        yield from (Spot(FILE, line.number) for line in found[:1])
