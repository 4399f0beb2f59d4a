"""Measure a UPS and try its alarms from the workstation; what does it runs on the UPS's host.

Everything that takes time runs there, in a unit of its own: a measurement goes on when this
program, the terminal or the network ends, and who asks again follows it.
"""

from __future__ import annotations

import json
import secrets
import shlex
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from releve.command import CommandError
from releve.errors import CheckError, LaterError, RefusedError
from releve.power.hands import cut_in_words
from releve.power.measurement import OB_WITHIN_SECONDS, Measurement
from releve.power.notify import code_of
from releve.ssh import Ssh

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence

    from releve.power.measurement import How
    from releve.town.model import Town

PROGRAM = "/usr/bin/python3 -I /usr/local/lib/releve/power.pyz"
UNIT = "releve-measure"
# A timer that ran out while it was held is asked again, however the sampler ends; on line it does
# nothing. One that did not run out goes on by itself. Who was killed while it looked is begun again
# two seconds later, and holds on.
AFTER = (
    "/bin/sh -c 'case $$SERVICE_RESULT in signal|core-dump|oom-kill|watchdog)"
    ' if [ -n "$$(find /run/releve-measure/hold-{ups} -newermt "-10 seconds" 2>/dev/null)" ];'
    " then exit 0; fi ;; esac;"
    " rm -f /run/releve-measure/hold-{ups};"
    " if rm /run/nut/held-{ups} 2>/dev/null;"
    " then exec /usr/local/lib/releve/power-timer on-battery-{ups}; fi'"
)
SILENT_LOOKS = 15  # of one a second, after which its sampler is dead
RESTARTS = 5  # of a sampler that died
AWAY_SECONDS = 1800.0  # that a host may take to come back: after "battery low" it has gone down
AWAY_LOOK = 5.0  # seconds between two tries
UNREACHED = 255  # ssh's own code
CHECKLIST = (
    "Somebody stands at the UPS and can put its plug back at once.",
    "All that it feeds every day is on and does its work: another load gives another capacity.",
    "People know that the servers may stop within the next hour.",
    "Nothing is going on that must not be cut short: no update, no backup, no move of a guest.",
    "The hosts power on by themselves when the power comes back, or somebody can press the button.",
)


# Asked after a pull at whose end the site went down; what nobody saw is not known, and stays so.
LOOKED = "Did you see what the output of {ups} did once the last host had stopped?"
WENT = "Did the output go off then, before the battery was empty?"
ON_LINE = "Was the plug back by then?"
CAME = "Did the output come on again by itself?"
LATER = "Once all is back, say what its output did: releve power measure UPS --saw"


class AwayError(LaterError):
    """The UPS's host does not answer."""


class Host(Protocol):
    """The UPS's host; the tests have one of their own."""

    def call(self, *words: str) -> Any:  # noqa: ANN401  # JSON
        """Run a verb of `power.pyz` there and return what it printed.

        Raises AwayError when the host does not answer, else ReleveError with its own sentence.
        """

    def start(self, ups: str, *words: str) -> None:
        """Start `power.pyz measure begin` there, so that it outlives this program."""


@dataclass(frozen=True, slots=True)
class SshHost:
    """The real one, over ssh."""

    ssh: Ssh

    @classmethod
    def of(cls, town: Town, ups: str) -> SshHost:
        """Return the host that has the cable of a UPS of the town."""
        return cls(Ssh.to(town, town.ups[ups].host).kept(60))

    def call(self, *words: str) -> Any:  # noqa: ANN401  # JSON
        """Run it; its own sentence and code become the error."""
        return json.loads(self._run(f"{PROGRAM} {shlex.join(words)}", timeout=180))

    def start(self, ups: str, *words: str) -> None:
        """Start it as a transient unit, with what has to follow however it ends."""
        properties = (
            "RuntimeDirectory=releve-measure",
            "RuntimeDirectoryPreserve=restart",
            "StateDirectory=releve-measure",
            "Restart=on-abnormal",  # killed: what says no by itself stays ended
            "RestartSec=2",
            "StartLimitIntervalSec=0",
            f"ExecStopPost=-{AFTER.format(ups=ups)}",
        )
        told = shlex.join([word for one in properties for word in ("--property", one)])
        line = (
            f"systemctl reset-failed {UNIT} 2>/dev/null;"
            f" systemd-run --quiet --collect --unit={UNIT} {told}"
            f" {PROGRAM} measure begin {shlex.join([ups, *words])}"
        )
        self._run(line, timeout=60)

    def _run(self, line: str, timeout: float) -> str:
        try:
            done = self.ssh.run(line, timeout=timeout, check=False)
        except CommandError as error:
            message = f"{self.ssh.host}: no answer: {error}"
            raise AwayError(message) from error
        if done.returncode:
            self._fail(done)
        return done.stdout

    def _fail(self, done: subprocess.CompletedProcess[str]) -> None:
        said = (done.stderr.strip() or done.stdout.strip() or "no word").splitlines()[-1]
        if done.returncode == UNREACHED:
            message = f"{self.ssh.host}: ssh does not reach it: {said}"
            raise AwayError(message)
        if "already loaded" in said:
            message = f"{self.ssh.host}: a measurement goes on there: wait until it is over"
            raise RefusedError(message)
        kinds = {RefusedError.exit_code: RefusedError, LaterError.exit_code: LaterError}
        kind = next((kinds[code] for code in kinds if code == done.returncode), CheckError)
        message = f"{self.ssh.host}: {said.removeprefix('measure: ').removeprefix('notify: ')}"
        raise kind(message)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be measured; `hold`: the timer of the time on battery waits meanwhile."""

    ups: str
    how: How
    stop_charge: float | None = None
    hold: bool = True

    def words(self) -> list[str]:
        """Return it as options of `power.pyz measure`."""
        words = ["--how", self.how]
        if self.stop_charge is not None:
            words += ["--stop-charge", f"{self.stop_charge:g}"]
        if self.hold and self.how != "quick":
            words.append("--hold")
        return words


@dataclass(slots=True)
class Remote:
    """One measurement, followed from here; `tell` shows a line, `confirm` asks a person."""

    host: Host
    asked: Asked
    tell: Callable[[str], None]
    confirm: Callable[[str], bool]
    wait: Callable[[str], None]
    sleep: Callable[[float], None] = time.sleep
    away: float = 0.0
    went_down: bool = False  # in a pull, the host itself

    def running(self) -> bool:
        """Whether a measurement of this UPS goes on there, or was cut off in this life of it."""
        return bool(self.host.call("measure", "show", self.asked.ups)["running"])

    def end(self) -> None:
        """Ask the deep test that goes on to end; raises RefusedError when there is none."""
        self.host.call("measure", "end", self.asked.ups)

    def plan(self) -> list[str]:
        """Return what will happen, one sentence each; raises RefusedError with what is against."""
        found = self.host.call("measure", "check", self.asked.ups, *self.asked.words())
        if found["refusals"]:
            message = f"{self.asked.ups}: {'; '.join(found['refusals'])}"
            raise RefusedError(message)
        return sentences(self.asked, found)

    def run(self, *, attended: bool) -> Measurement:
        """Begin, or take up what goes on, and follow it to its record.

        `attended`: the checklist of a plug pull was confirmed beforehand.
        """
        ups = self.asked.ups
        before = self.host.call("measure", "show", ups)
        if not before["running"]:
            if self.asked.how == "plug-pull" and not attended:
                self._ask_checklist()
            self.host.start(ups, *self.asked.words())
        try:
            self._follow(None if before["running"] else before["begin"])
        except KeyboardInterrupt:
            self.tell(
                f"{ups}: it goes on at its host: call it again to follow it; --end ends a deep test"
            )
            raise
        made = self.collected()
        return self.asked_what_was_seen() if self.went_down else made

    def collected(self) -> Measurement:
        """Return the record that is there now; raises CheckError when there is none."""
        ups = self.asked.ups
        content = self.host.call("measure", "record", ups)
        if content is None:
            message = f"{ups}: nothing was measured"
            raise CheckError(message)
        return Measurement.parse(content, f"{ups} on its host")

    def asked_what_was_seen(self) -> Measurement:
        """Ask what the output did at the end of the last pull, and keep it in the record."""
        words = self._answers()
        if not words:
            self.tell(f"{self.asked.ups}: of its cut nothing new is known. {LATER}")
            return self.collected()
        content = self.host.call("measure", "saw", self.asked.ups, *words)
        return Measurement.parse(content, f"{self.asked.ups} on its host")

    def _answers(self) -> list[str]:
        if not self.confirm(LOOKED.format(ups=self.asked.ups)):
            return []
        went, on_line = self.confirm(WENT), self.confirm(ON_LINE)
        if not went:
            # With the mains there it may be a UPS that cuts on battery alone.
            return ["--on-line", "no"] if on_line else ["--cut", "none"]
        words = ["--cut", "proven", "--returned", "yes" if self.confirm(CAME) else "no"]
        return [*words, "--on-line", "yes"] if on_line else words

    def _ask_checklist(self) -> None:
        for sentence in CHECKLIST:
            if not self.confirm(sentence):
                message = f"{self.asked.ups}: not begun, since this is not so: {sentence}"
                raise RefusedError(message)

    def _follow(self, earlier: float | None) -> None:
        """Show how it goes until it has ended; `earlier` is the begin of one that is over."""
        after, silent, restarts, pulled = 0, 0, 0, False
        while True:
            shown = self._show(after)
            if shown is None:
                continue
            new = shown["begin"] is not None and shown["begin"] != earlier
            if new:
                # Not running and without an end: it is over with the life of its host.
                lost = shown["end"] is None and not shown["running"]
                self.went_down = lost and shown["request"]["how"] == "plug-pull"
                after = shown["total"]
                self._progress(shown)
            # Not running and without an end: its host was started anew, and it is over with that.
            if new and (shown["end"] is not None or not shown["running"]):
                if any("FSD" in (one["status"] or ()) for one in shown["samples"]) and not lost:
                    self.tell(f"{self.asked.ups}: the site goes down. {LATER}")
                return
            silent = 0 if new and shown["alive"] else silent + 1
            if silent > SILENT_LOOKS:
                silent, restarts = 0, restarts + 1
                if restarts > RESTARTS or not new:
                    message = f"{self.asked.ups}: nobody looks at it; see journalctl -u {UNIT}"
                    raise CheckError(message)
                self.host.start(self.asked.ups, *self.asked.words())
            if new and not pulled and self._waits_for_the_pull(shown):
                self.wait("Pull the plug, and press Enter at that very moment")
                self.host.call("measure", "pulled", self.asked.ups)
                pulled = True
            self.sleep(1)

    def _show(self, after: int) -> dict[str, Any] | None:
        """Return how far it is; None while its host does not answer, for AWAY_SECONDS."""
        try:
            shown: dict[str, Any] = self.host.call(
                "measure", "show", self.asked.ups, "--after", str(after)
            )
        except AwayError as error:
            if not self.away:
                self.tell(
                    f"{error}. At a low battery it goes down in order, as in a real cut. What was"
                    " seen is fetched when it is back, or later with --collect."
                )
            if self.away > AWAY_SECONDS:
                raise
            self.away += AWAY_LOOK
            self.sleep(AWAY_LOOK)
            return None
        self.away = 0.0
        return shown

    @staticmethod
    def _waits_for_the_pull(shown: dict[str, Any]) -> bool:
        plug = shown["request"]["how"] == "plug-pull"
        return bool(plug and shown["zero"] is None and shown["total"])

    def _progress(self, shown: dict[str, Any]) -> None:
        zero = shown["zero"]
        for sample in shown["samples"]:
            at = "" if zero is None else f"{sample['clock'] - zero:+.0f} s"
            values = {"charge": "%", "runtime": "s", "voltage": "V", "load": "%"}
            told = [f"{key} {sample[key]:g} {unit}" for key, unit in values.items() if sample[key]]
            status = " ".join(sample["status"]) if sample["status"] is not None else "no word"
            left = (
                f"(it says {sample['runtime'] / 60:.0f} min are left)" if sample["runtime"] else ""
            )
            self.tell(f"{at:>8}  {status:14} {', '.join(told)} {left}".rstrip())


def sentences(asked: Asked, found: dict[str, Any]) -> list[str]:
    """Return what a measurement will do, in words for who has to agree."""
    says, timer = found["says"], found["timer"]
    known = [f"charge {says['charge']:g} %"] if says["charge"] is not None else []
    known += [f"load {says['load']:g} %"] if says["load"] is not None else ["load not told"]
    known += [f"{says['runtime'] / 60:.0f} min left"] if says["runtime"] else []
    lines = [f"{asked.ups} says {says['status']}: {', '.join(known)}."]
    if asked.how == "quick":
        return [*lines, "It runs on its battery for about ten seconds; nothing stops."]
    end = f"until its charge is {asked.stop_charge:g} %" if asked.stop_charge is not None else ""
    low = "until it says that the battery is low"
    if asked.how == "deep":
        lines.append(f"It drains its battery {end or low}; --end ends it before.")
    else:
        lines.append(f"You pull its plug {low}, or put it back before.")
    lines.append(
        "When it says that the battery is low, NUT shuts the site down in order, as in a real cut."
    )
    if says["own_low"]:
        lines.append(
            "That is at thresholds of ours, before it is empty: of its capacity an 'at least' is"
            " seen. All of it (after a new battery, say): remove its record, apply"
            " playbooks/power.yml, measure."
        )
    if timer is not None:
        words = "waits until the measurement is over" if asked.hold else "counts, as in a real cut"
        lines.append(f"The timer of {timer} s on battery {words}.")
    lines.append("A cut of the mains meanwhile, and until it is charged again, finds it weaker.")
    return lines


def verdict(made: Measurement) -> list[str]:
    """Return what was measured, in words."""
    lines = []
    if made.capacity_seconds is not None:
        least = "" if made.until in {"low-battery", "output-off"} else "at least "
        lines.append(f"capacity: {least}{made.capacity_seconds} s from full, to {made.until}")
        if least:
            lines.append(
                "what it holds beyond that nobody saw: it is reckoned with that and no more"
            )
    else:
        lines.append("capacity: not measured; this UPS is still being commissioned")
    moved = [name for name in ("charge", "runtime", "voltage") if getattr(made.moved, name)]
    lines.append(f"moved: {', '.join(moved) or 'nothing; only the time can be believed'}")
    seen = "never" if made.ob_seen_seconds is None else f"after {made.ob_seen_seconds:g} s"
    lines.append(f'"on battery" was seen {seen}')
    if made.mains_proven is False:
        lines.append(
            f"REFUSED: a real cut was not seen within {OB_WITHIN_SECONDS:g} s; this UPS may guard"
            " nothing"
        )
    elif made.mains_proven is None:
        lines.append("no real cut was seen yet: pull the plug once (--how plug-pull)")
    return [*lines, f"its output: {cut_in_words(made)}"]


def try_alarms(host: Host, ask: Callable[[str], str] | None) -> list[dict[str, Any]]:
    """Send each target a test, and ask for the code that arrived: `{shown, sent, seen}`.

    `seen` is None where nobody was asked.
    """
    seed = secrets.token_hex(8)
    told: Sequence[dict[str, Any]] = host.call("notify", "test", "--seed", seed)
    rows, answers = [], []
    for one in told:
        seen: bool | None = None
        if one["sent"] and ask is not None:
            code = ask(f"Code that arrived by {one['shown']}").strip()
            seen = code == code_of(seed, one["target"])
            answers += ["--yes" if seen else "--no", one["target"]]
        rows.append({"shown": one["shown"], "sent": one["sent"], "seen": seen})
    if answers:
        host.call("notify", "seen", *answers)  # for the report
    return rows
