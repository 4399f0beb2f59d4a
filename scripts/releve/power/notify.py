"""Tell people: send what lies in the spool by mail, ntfy, Matrix or webhook, through apprise.

`notify event` is what NUT calls: it writes one file and ends. `notify send` is what a unit runs
whenever something lies there, and each minute while something does. `notify test` sends each
target a code of its own, so that a person can say which have arrived. The targets are apprise's
URLs, in a file that only root and NUT read; no URL is ever printed.
"""

from __future__ import annotations

import argparse
import dataclasses
import fcntl
import hashlib
import importlib
import json
import logging
import os
import re
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from releve.errors import CheckError, InputError, ReleveError
from releve.power import whole
from releve.power.spool import SPOOL, Alarm, raise_alarm, remove, store, waiting

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from releve.power.spool import Severity

CONFIG = Path("/etc/releve/notify.json")
TRIED = Path("/var/lib/releve-notify/tried.json")  # how the last test of each target went
LATE_SECONDS = 300  # an alarm that is older says when it was raised
TESTS = Path("/var/lib/releve-measure")
TEST_SECONDS = 15.0  # after the last line of a test's journal
IN_ONE = 20  # alarms in one message; more are counted
LOG = logging.getLogger("notify")
# NUT's NOTIFYTYPE -> (severity, sentence); other types are told with their own word.
EVENTS: dict[str, tuple[Severity, str]] = {
    "ONBATT": ("warning", "the mains are lost; it runs on battery"),
    "ONLINE": ("success", "the mains are there"),
    "LOWBATT": ("failure", "the battery is low"),
    "FSD": ("failure", "the shutdown of the site has begun"),
    "SHUTDOWN": ("failure", "this host shuts down"),
    "COMMOK": ("success", "the UPS can be seen again"),
    "COMMBAD": ("warning", "the UPS cannot be seen"),
    "NOCOMM": ("failure", "the UPS cannot be seen for a while: nobody would notice a power cut"),
    "NOPARENT": ("failure", "the monitor lost its parent and cannot shut this host down"),
    "REPLBATT": ("info", "the UPS asks for a new battery (told as an alarm once it holds)"),
    # Of our own boot gate, in the same words.
    "BOOTGATE": ("failure", "it says nothing since the boot, and the guests start without it"),
}


class Sender(Protocol):
    """What delivers; apprise, or a test's own."""

    def send(self, url: str, title: str, body: str, severity: Severity) -> bool:
        """Deliver to one target; return whether it took the message."""


@dataclass(frozen=True, slots=True)
class Target:
    """One place that alarms go to; `id` and `shown` tell nothing that is secret."""

    url: str
    id: str
    shown: str

    def __repr__(self) -> str:
        """Hide the URL: it carries a password or a token."""
        return f"Target({self.shown})"

    @classmethod
    def of(cls, url: str) -> Target:
        """Name a target by its kind and a short hash."""
        number = hashlib.sha256(url.encode()).hexdigest()[:8]
        return cls(url, number, f"{url.partition('://')[0]} {number}")


@dataclass(frozen=True, slots=True)
class Config:
    """Where alarms go, and as whom: `site` begins each title."""

    targets: tuple[Target, ...]
    site: str

    @classmethod
    def read(cls, file: Path = CONFIG) -> Config:
        """Read `{"site": str, "urls": [str, ...]}`; raises InputError, which shows no URL."""
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            urls, site = content["urls"], content["site"]
        except OSError as error:
            message = f"{file}: cannot be read ({error.strerror}); give nut_primary_notify_urls"
            raise InputError(message) from error
        except (ValueError, TypeError, KeyError):
            message = (
                f'{file}: is wrong; right is {{"site": "town hall", "urls": ["mailto://..."]}}'
            )
            raise InputError(message) from None
        if not isinstance(urls, list) or not all(re.match(r"\w+://.", str(url)) for url in urls):
            message = f"{file}: urls: one is no URL of apprise, such as ntfys://ntfy.example.org/t"
            raise InputError(message)
        return cls(tuple(Target.of(url) for url in urls), str(site))


class Apprise:
    """The library apprise, of the system's Python; loaded when something has to be sent."""

    def __init__(self) -> None:
        """Load it; raises CheckError when it is not there."""
        try:
            self._library: Any = importlib.import_module("apprise")
        except ImportError as error:
            message = f"apprise is not installed ({error}); apt install apprise, alarms are kept"
            raise CheckError(message) from error
        # It logs the URL of a target that fails.
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)

    def send(self, url: str, title: str, body: str, severity: Severity) -> bool:
        """Deliver to one target; return whether it took the message."""
        target = self._library.Apprise.instantiate(url, suppress_exceptions=True)
        if not target:
            LOG.warning(
                "%s: apprise knows no such URL; its user and password are written as in a URL"
                " (@ is %%40, # is %%23, / is %%2F)",
                Target.of(url).shown,
            )
            return False
        # Mail would be HTML; what an alarm says is for any reader, and for a telephone.
        target.notify_format = self._library.NotifyFormat.TEXT
        one = self._library.Apprise()
        return bool(
            one.add(target)
            and one.notify(body=body, title=title, notify_type=severity, body_format="text")
        )


def send_waiting(config: Config, sender: Sender, spool: Path = SPOOL) -> list[str]:
    """Send each target what it does not have; return the names of those that did not take it.

    All that waits for a target goes in one message, so that an outage ends in one mail.
    """
    failed = []
    alarms = {alarm.id: alarm for alarm in waiting(spool)}
    for target in config.targets:
        left = [alarm for alarm in alarms.values() if target.id not in alarm.sent]
        if not left:
            continue
        title, body, severity = message_of(left, config.site)
        if not sender.send(target.url, title, body, severity):
            failed.append(target.shown)
            continue
        alarms |= {alarm.id: _taken(alarm, target, spool) for alarm in left}
    everywhere = {target.id for target in config.targets}
    for alarm in alarms.values():
        if everywhere <= set(alarm.sent):
            remove(alarm, spool)
    return failed


def _taken(alarm: Alarm, target: Target, spool: Path) -> Alarm:
    """Keep that a target has an alarm; on a full disk, as long as others are still to be told."""
    taken = dataclasses.replace(alarm, sent=(*alarm.sent, target.id))
    try:
        store(taken, spool)
    except OSError as error:
        LOG.warning("%s: %s", spool, error)
    return taken


def message_of(alarms: Sequence[Alarm], site: str) -> tuple[str, str, Severity]:
    """Return title, text and severity of one message for some alarms; the worst names it."""
    order: tuple[Severity, ...] = ("failure", "warning", "success", "info")
    worst = min(alarms, key=lambda one: (order.index(one.severity), -one.at))
    more = f" (and {len(alarms) - 1} more)" if len(alarms) > 1 else ""
    lines = [_line(one) for one in alarms[-IN_ONE:]]
    if len(alarms) > IN_ONE:
        lines.insert(0, f"{len(alarms) - IN_ONE} earlier ones are left out.")
    # A title of two lines no mail can have.
    title = " ".join(f"{site}: {worst.ups}: {' '.join(worst.text.split())[:80]}{more}".split())
    return title, "\n".join(lines), worst.severity


def _line(alarm: Alarm) -> str:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(alarm.at))
    late = " (sent late)" if time.time() - alarm.at > LATE_SECONDS else ""
    return f"{at}{late} {alarm.ups}: {alarm.text}"


def code_of(seed: str, target: str) -> str:
    """Return the four digits that the test message to one target carries."""
    return f"{int(hashlib.sha256(f'{seed} {target}'.encode()).hexdigest(), 16) % 10_000:04}"


def send_test(config: Config, sender: Sender, seed: str) -> list[dict[str, Any]]:
    """Send each target its code; return who took it: `{target, shown, sent}`."""
    told = []
    for target in config.targets:
        body = (
            f"This is a test from {socket.gethostname()}. The code of this channel is"
            f" {code_of(seed, target.id)}; type it where the test was asked for."
        )
        sent = sender.send(target.url, f"{config.site}: test of the alarms", body, "info")
        told.append({"target": target.id, "shown": target.shown, "sent": sent})
    return told


class Tried(dict[str, dict[str, Any]]):
    """How the last test of each target went: id -> `{at, sent, seen}`; `seen` None: nobody said."""

    @classmethod
    def read(cls, file: Path = TRIED) -> Tried:
        """Read them; none where there is no file, or one that is wrong."""
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            rows = {
                name: {"at": float(row["at"]), "sent": bool(row["sent"]), "seen": row["seen"]}
                for name, row in content.items()
            }
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return cls()
        return cls(rows)

    def write(self, file: Path = TRIED) -> None:
        """Keep them, whole or not at all; raises OSError."""
        file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        whole.write(file, json.dumps(self, indent=1) + "\n")

    def told(self, results: Iterable[dict[str, Any]], at: float) -> None:
        """Take in results, `{target, sent}` of a test, or `{target, seen}` of who looked."""
        for one in results:
            row = self.setdefault(one["target"], {"at": at, "sent": True, "seen": None})
            if "sent" in one:
                row |= {"at": at, "sent": one["sent"], "seen": None}
            else:
                row["seen"] = one["seen"]


def event_alarm(kind: str, ups: str) -> Alarm:
    """Return the alarm for one of NUT's events, by its NOTIFYTYPE and UPSNAME."""
    severity, text = EVENTS.get(kind, ("warning", f"NUT says {kind or 'something'}"))
    return Alarm(f"nut-{kind.lower() or 'event'}", ups.partition("@")[0] or "NUT", text, severity)


def _tested(alarm: Alarm, folder: Path) -> bool:
    """Tell whether the UPS is on battery, or back, for a test of ours: no news for anybody.

    By the journal of the test, which grows each second; what goes wrong there is told by it. One
    of tomorrow is of a clock that was set back since, and hides no cut.
    """
    if alarm.topic not in {"nut-onbatt", "nut-online"}:
        return False
    try:
        age = time.time() - (folder / f"{alarm.ups}.jsonl").stat().st_mtime
    except OSError:
        return False
    return abs(age) < TEST_SECONDS


def main(arguments: Iterable[str]) -> int:
    """Run `notify event|send|test|seen`; returns 0, or the code of the error that it names."""
    parser = argparse.ArgumentParser(prog="power.pyz notify")
    parser.add_argument("what", choices=("event", "send", "test", "seen"))
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--spool", type=Path, default=SPOOL)
    parser.add_argument("--tests", type=Path, default=TESTS)
    parser.add_argument("--seed", default="")
    parser.add_argument("--tried", type=Path, default=TRIED)
    parser.add_argument("--yes", action="append", default=[], metavar="TARGET")
    parser.add_argument("--no", action="append", default=[], metavar="TARGET")
    options = parser.parse_args(list(arguments))
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        if options.what == "event":
            alarm = event_alarm(os.environ.get("NOTIFYTYPE", ""), os.environ.get("UPSNAME", ""))
            if not _tested(alarm, options.tests):
                raise_alarm(alarm, options.spool)
        elif options.what == "send":
            return _send(options.config, options.spool)
        elif options.what == "seen":
            answers = [(name, True) for name in options.yes] + [
                (name, False) for name in options.no
            ]
            _keep([{"target": name, "seen": seen} for name, seen in answers], options.tried)
            sys.stdout.write("{}\n")
        else:
            told = send_test(Config.read(options.config), Apprise(), options.seed)
            _keep(told, options.tried)
            sys.stdout.write(json.dumps(told) + "\n")
    except ReleveError as error:
        LOG.error("notify: %s", error)  # one sentence, no traceback
        return error.exit_code
    except OSError as error:
        LOG.error("notify: %s: %s", options.spool, error)  # as above
        return 1
    return 0


def _keep(results: Iterable[dict[str, Any]], file: Path) -> None:
    tried = Tried.read(file)
    tried.told(results, time.time())
    tried.write(file)


def _send(config_file: Path, spool: Path) -> int:
    """Send what waits; nothing is loaded when nothing does. 75 when something could not go."""
    config = Config.read(config_file)
    # Not a file of the spool: whoever watches that would start the next sender by it.
    with config_file.open(encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not config.targets:
            for alarm in waiting(spool):
                LOG.info("%s: %s (nobody to tell)", alarm.ups, alarm.text)
                remove(alarm, spool)
        if not waiting(spool):
            return 0
        failed = send_waiting(config, Apprise(), spool)
    if failed:
        LOG.warning("%s did not take it; kept and tried again", ", ".join(failed))
        return 75
    return 0
