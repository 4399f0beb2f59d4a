"""Alarms on disk until they have arrived: raising one never waits for a network.

Whoever has an alarm writes one small file; `notify.py` sends what lies there, again and again, and
removes what every target took. Standard library only.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from releve.power import whole

SPOOL = Path("/var/spool/releve-notify")
MOST = 500  # files; older ones go first: a spool must not fill a disk
Severity = Literal["info", "warning", "failure", "success"]  # the words of apprise


@dataclass(frozen=True, slots=True)
class Alarm:
    """One sentence for people; `id` names the file, `at` is Unix time, `sent` targets that have it.

    `topic` names what it is about (`lost-contact`, `battery-test`, ...): stable, for metrics.
    """

    topic: str
    ups: str
    text: str
    severity: Severity = "warning"
    at: float = 0.0
    id: str = ""
    sent: tuple[str, ...] = ()


def raise_alarm(alarm: Alarm, spool: Path = SPOOL) -> Alarm:
    """Put an alarm into the spool, whole and on disk; returns it with `at` and `id`.

    Raises OSError where the spool cannot be written.
    """
    at = alarm.at or time.time()
    named = dataclasses.replace(alarm, at=at, id=f"{at:017.6f}-{uuid.uuid4().hex[:8]}")
    store(named, spool)
    return named


def store(alarm: Alarm, spool: Path = SPOOL) -> None:
    """Write an alarm's file anew, whole or not at all; raises OSError."""
    # Half a character, of a name that was no UTF-8, is written as what everybody can send.
    text = json.dumps(dataclasses.asdict(alarm), ensure_ascii=False)
    whole.write(spool / f"{alarm.id}.json", text)


def waiting(spool: Path = SPOOL) -> list[Alarm]:
    """Return the alarms of the spool, oldest first; a file that is none is set aside."""
    files = sorted(spool.glob("*.json"))
    for old in files[:-MOST]:
        old.unlink(missing_ok=True)
    found = []
    for file in files[-MOST:]:
        try:
            found.append(_alarm_of(json.loads(file.read_text(encoding="utf-8")), file.stem))
        except FileNotFoundError:
            continue
        except (OSError, ValueError, TypeError, KeyError, OverflowError):
            with contextlib.suppress(OSError):
                file.replace(file.with_suffix(".unreadable"))
    return found


def _alarm_of(words: dict[str, Any], name: str) -> Alarm:
    """Return the alarm of a file; raises ValueError, TypeError, KeyError for one that is none.

    One that nobody could send would keep all others from being sent, and a copy under another name
    would be sent for ever.
    """
    alarm = Alarm(**{**words, "sent": tuple(words["sent"])})
    texts = (alarm.topic, alarm.ups, alarm.text, alarm.id, *alarm.sent)
    known = alarm.severity in get_args(Severity) and alarm.id == name
    if not known or not all(isinstance(one, str) for one in texts):
        message = "a text is none, the severity is not known, or it is another file's"
        raise ValueError(message)
    time.localtime(alarm.at)
    return alarm


def remove(alarm: Alarm, spool: Path = SPOOL) -> None:
    """Take an alarm out of the spool."""
    (spool / f"{alarm.id}.json").unlink(missing_ok=True)
