"""What the ids of checks and the phrases of events mean, in words for people.

An id or a phrase that is not listed is shown as the evidence wrote it, marked as English: a new
check is never hidden for want of a translation. Whoever lists one adds its French to
`locale/fr.po`; a test wants it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.drills.report.promises import mark

if TYPE_CHECKING:
    from collections.abc import Collection

    from releve.drills.report.language import Language


@dataclass(frozen=True, slots=True)
class Words:
    """A check in words: what had to be true, and, if its value is a figure worth a place, its name.

    `figure` may hold {subject}: the guest or host that stands in the check's id.
    """

    sentence: str
    figure: str = ""


CHECKS: dict[str, Words] = {
    "completed": Words(mark("The stage ran to its end.")),
    # survey
    "domains-unchanged": Words(mark("The guests' definitions are the same before and after.")),
    "states-unchanged": Words(mark("The guests' states are the same before and after.")),
    "etc-unchanged": Words(mark("The old server's configuration is the same before and after.")),
    "packages-unchanged": Words(mark("The old server's packages are the same before and after.")),
    "devices-named": Words(mark("Every device of every guest is accounted for.")),
    "blockers": Words(mark("Nothing stands in the way of a move.")),
    "fragment-valid": Words(mark("What was found makes a valid town file.")),
    "town-equal": Words(mark("The old server is as the town file says.")),
    # provision
    "second-run": Words(
        mark("Setting the server up a second time changes nothing."),
        mark("changes made by a second run"),
    ),
    "drift-seen": Words(mark("A change made by hand is noticed.")),
    "drift-gone": Words(mark("A change made by hand is gone after the next run.")),
    # migrate
    "preflight": Words(
        mark("Nothing stood in the way before the move, or somebody took the risk and said why."),
    ),
    "downtime": Words(
        mark("The service stood still no longer than planned."), mark("without service: {subject}")
    ),
    "no-record-lost": Words(
        mark("No record that was acknowledged is lost."),
        mark("records found again: {subject}"),
    ),
    "chain-whole": Words(mark("All records are there, in order and unaltered.")),
    "unclean": Words(mark("The service never stopped in the middle of its work.")),
    "power-off": Words(mark("The service switched itself off when asked.")),
    "bytes-seed": Words(mark("The data was copied while people worked.")),
    "bytes-kept-on-resume": Words(mark("An interrupted copy went on where it was.")),
    "bytes-at-cutover": Words(
        mark("What had changed since the copy was found and copied."),
    ),
    "rounds": Words(mark("What changed during the copy was copied too.")),
    "target-equals-manifest": Words(mark("The new disk was read back and is right.")),
    "way-back": Words(
        mark("The old guest is kept as it was, as a way back."),
        mark("way back open until: {subject}"),
    ),
    "answers": Words(mark("It answers.")),
    "source-equals-manifest": Words(mark("The old disk was read again and is the same.")),
    "firmware-variables-kept": Words(mark("The new machine knows where its system starts.")),
    "source-fenced": Words(mark("The old guest cannot start by accident.")),
    "mac-kept": Words(mark("The network card kept its address.")),
    # power
    "capacity": Words(mark("The plan reckons with what is known of the battery.")),
    "on-battery-seen": Words(
        mark("The loss of the mains was noticed at once."), mark("until it was noticed")
    ),
    "decision-to-first-stop": Words(mark("The first to stop was not long in coming.")),
    "guest-phase": Words(
        mark("The services stopped within the written plan."),
        mark("from the decision to the last service's stop"),
    ),
    "last-guest-to-output-off": Words(
        mark("After the last service's stop the UPS cut its output."),
        mark("from the last service's stop to the cut"),
    ),
    "no-flag": Words(mark("An ordinary restart of it cuts nobody's power.")),
    "clean-stop": Words(mark("It had stopped in good order before its power went.")),
    "whole": Words(mark("All records are there after the cut, in order and unaltered.")),
    "guests.order": Words(mark("The services stopped in the written order.")),
    "host.last": Words(mark("The server with the UPS stopped last.")),
    "output.last": Words(mark("The UPS cut its output only when everything had stopped.")),
    "time-on-battery": Words(
        mark("Everything had stopped before the battery was empty."), mark("on battery")
    ),
    "budget": Words(
        mark("The battery carries the longest shutdown."), mark("longest shutdown by the plan")
    ),
    "back": Words(mark("It came back by itself.")),
    "login.back": Words(mark("It listens to the UPS again.")),
    "data.back": Words(mark("The UPS is watched again.")),
    "event.back": Words(mark("The power cut is known to be over.")),
    "all-back": Words(mark("Everything came back by itself."), mark("until all was back")),
    # power, its other levels
    "measured": Words(mark("The battery was measured."), mark("on battery, as measured")),
    "budget-deployed": Words(mark("It works with the times of the written plan.")),
    "files": Words(mark("Its settings for a power cut are sound.")),
    "shadow": Words(mark("Its own programs could be tried without stopping anything.")),
    "fires-on-low": Words(
        mark("It would stop when the battery is low."),
        mark("from the loss of the mains to the stop, at a low battery: {subject}"),
    ),
    "fires-on-timer": Words(mark("It would stop when the time on battery is over.")),
    "command": Words(mark("It would stop by a program that it has.")),
    "configuration": Words(mark("Its settings can be read, and all of them fire.")),
    "nothing-left": Words(mark("After the trial it is as before.")),
    "in-time": Words(mark("It stopped in its time."), mark("to stop: {subject}")),
    "on-line-again": Words(mark("The UPS saw the mains come back.")),
    "no-shutdown": Words(mark("Nothing stopped while the plug was out.")),
    "clients-stay": Words(mark("Everybody went on listening to the UPS.")),
    # copy
    "copied": Words(mark("The copy arrived and was sealed."), mark("to make the copy: {subject}")),
    "blocks-stored": Words(mark("Only what had changed was sent."), mark("blocks sent: {subject}")),
    "locked": Words(mark("Nobody can remove the copy before its day.")),
    "witness": Words(mark("It is noted what the copy must hold.")),
    "sealed": Words(mark("The copy cannot be changed, not even at the vault.")),
    "folder-only-grows": Words(mark("The folder of copies can only grow.")),
    "manifest-holds": Words(mark("The copy is whole: all its sums are right.")),
    "overwrite-at-console-refused": Words(mark("A copy cannot be overwritten at the vault.")),
    "delete-at-console-refused": Words(mark("A copy cannot be deleted at the vault.")),
    "subvolume-delete-refused": Words(mark("A copy's volume cannot be deleted at the vault.")),
    "shell-refused": Words(mark("The site's key opens no shell at the vault.")),
    "read-refused": Words(mark("The site cannot read a copy.")),
    "list-refused": Words(mark("The site cannot list the copies.")),
    "alter-refused": Words(mark("The site cannot alter a copy.")),
    "delete-refused": Words(mark("The site cannot delete a copy.")),
    "traversal-refused": Words(mark("The site cannot write beside its own copies.")),
    "verb-chain-refused": Words(mark("The site cannot add a second order to the first.")),
    "grant-refused": Words(mark("The site cannot give itself leave to read.")),
    "terminal-refused": Words(mark("The site's key opens no terminal.")),
    "scp-refused": Words(mark("The site cannot fetch a copy by scp.")),
    "sftp-refused": Words(mark("The site cannot fetch a copy by sftp.")),
    "rsync-refused": Words(mark("The site cannot fetch a copy by rsync.")),
    "forward-refused": Words(mark("The site's key leads to no other port of the vault.")),
    "restore-without-grant-refused": Words(mark("Without leave nothing can be fetched back.")),
    "root-login-refused": Words(mark("Nobody of the site logs in as root at the vault.")),
    # batteries
    "host-answers": Words(mark("The UPS's host says how it is.")),
    "state": Words(mark("What is known of the UPS.")),
    "rung": Words(mark("What it says of the mains and its battery can be used.")),
    "decides": Words(mark("What stops the site is known.")),
    "timer": Words(mark("However it goes, the site stops after a known time without mains.")),
    "measured-on": Words(mark("The UPS was measured.")),
    "capacity-measured": Words(mark("How long the battery lasts was measured.")),
    "output-cut": Words(mark("What its output does at the end was seen.")),
    "quick-test": Words(mark("The last short test of the battery showed, and was passed.")),
    "deep-test": Words(mark("The last long test of the battery was passed.")),
    "link": Words(mark("The link to the UPS lives.")),
    "battery-due": Words(mark("The battery is not due yet.")),
    "last-stop-at": Words(mark("The last stop of the server is on record.")),
    "last-stop": Words(mark("At the last stop it ended cleanly.")),
    "alarm-targets": Words(mark("It is known who is told.")),
    "alarms-seen": Words(mark("A test of each alarm was seen to arrive.")),
    # restore
    "copy-as-sealed": Words(mark("The copy at the vault is as it was sealed.")),
    "copy-equals-manifest": Words(
        mark("What came back is the copy, block by block."), mark("brought back: {subject}")
    ),
    "copy-as-told": Words(mark("It is the copy that was sent, and no other.")),
    "rto": Words(mark("The service was back in time."), mark("until the service was back")),
    "rpo": Words(mark("The copy was fresh enough."), mark("of work not in the copy")),
    "chain-equal": Words(mark("The service holds all that the copy held.")),
    "grant-ended": Words(mark("The leave to read ended with the return.")),
}
# Phrases of events, with what they do to the subject: on, off, battery, or nothing ("").
PHRASES: dict[str, str] = {
    mark("mains are lost"): "off",
    mark("mains are back"): "on",
    mark("on battery"): "battery",
    mark("shutdown begins"): "",
    mark("waiting"): "off",
    mark("halted"): "off",
    mark("running"): "on",
    mark("stops"): "off",
    mark("last sign of life, no stop"): "off",
    mark("was down ({state})"): "off",
    mark("UNCLEAN: lost its power while it ran ({state})"): "off",
    mark("output off: {why}"): "off",
    mark("output on"): "on",
    mark("powers on with the output"): "",
    mark("woken over the network"): "",
    mark("POWEROFF_WAIT is over and the output is on: it starts again"): "",
    mark("is back"): "on",
    mark("works again"): "on",
    mark("is logged in"): "",
    mark("on line, data are fresh"): "on",
    mark("power event is closed"): "",
    mark("{command} is ignored: the mains are there"): "",
    mark("the countdown is dropped: the mains are back"): "",
    mark("shutdown.return from {who}"): "",
    mark("shutdown.stayoff from {who}"): "",
    mark("load.off from {who}"): "",
    mark("NOTIFYCMD is told that the mains are lost"): "",
    mark("upsmon sees the loss of the mains"): "",
    mark("upsmon sees the low battery"): "",
    mark("the timer starts"): "",
    mark("the timer is cancelled: the mains are back"): "",
    mark("the timer has run out"): "",
    mark("CMDSCRIPT is called"): "",
    mark("the shutdown is decided"): "",
    mark("the policy tells every tier to stop"): "",
    mark("its server is played"): "",
    mark("upsmon speaks TLS with its server"): "",
    mark("SHUTDOWNCMD is called, as a recorder"): "",
    mark("the kill-power flag is written, in the drill's own memory"): "",
    mark("the plug is asked for: {why}"): "",
    mark("on line again"): "on",
    mark("run began"): "",
    mark("seed began"): "",
    mark("seed ended"): "",
    mark("round {number} began"): "",
    mark("round {number} ended"): "",
    mark("cutover began"): "",
    mark("power button"): "",
    mark("guest off"): "off",
    mark("last delta moved"): "",
    mark("target read back"): "",
    mark("target verified"): "",
    mark("waits for the word"): "",
    mark("source lost: {why}"): "",
    mark("audit of the source began"): "",
    mark("source audited"): "",
    mark("rollback began"): "",
    mark("rolled back"): "",
    mark("source retired"): "",
    mark("source fenced"): "",
    mark("target started"): "",
    mark("guest answers"): "on",
    mark("cutover aborted: {why}"): "",
    mark("guest goes on at its source"): "on",
    mark("moved"): "",
    mark("manifest of {disk}: sha256 {sum}"): "",
    mark("copy began"): "",
    mark("disks frozen"): "",
    mark("copy sealed"): "",
    mark("guest destroyed"): "off",
    mark("grant opened at the console"): "",
    mark("copy arrived"): "",
    mark("grant revoked"): "",
    mark("guest started from its copy"): "",
    mark("newest record {newest}, restored {restored}"): "",
    mark("of 16 KiB; {how}"): "",
    mark("broken at {number}"): "",
    mark("survey started"): "",
    mark("survey finished"): "",
    # remarks on batteries
    mark("it was installed on {day} and is counted on for {months} months"): "",
    mark("its {how} capacity falls below the {seconds} s that are needed"): "",
    mark('its {kind} battery test failed ("{result}"): replace the battery'): "",
    mark(
        "its {kind} battery test did not show within {seconds} s: what it says may be frozen, and a"
        " power cut would go unseen; look at the cable and the driver"
    ): "",
    mark("it did not come back from its {kind} battery test: look at it now"): "",
    mark("its battery was low before the deep test was over: replace the battery"): "",
    mark('its {kind} battery test was not carried out ("{result}")'): "",
    mark("nothing is heard of it: a power cut would go unseen"): "",
    mark(
        "nothing it says has changed for 24 h: its link may be frozen; restart its driver, look at"
        " the cable"
    ): "",
    mark(
        "no battery test has shown for two weeks: nothing proves that a power cut would be seen"
    ): "",
    mark("not seen to arrive: {names}"): "",
    mark("it took {took} s of the {limit} s that it had"): "",
    mark("Proxmox VE did not stop it: {error}"): "",
    mark("it was paused, and was ended as it stood"): "",
}
THINGS = frozenset({mark("mains")})
"""Subjects of events that are no host and no guest."""
# What stands inside of phrases and notes.
NOTES = (
    mark("as commanded"),
    mark("battery empty"),
    mark("worst case"),
    mark("until"),
    mark("every block, and the text files"),
    mark("the roots that the sender was told when it brought the copy"),
    mark("read back from the disk"),
    mark("record asked just before the freeze, with the same sum"),
    mark("newest record just before the freeze"),
    mark("the copy can still be read"),
    mark("nothing was acknowledged"),
    mark("guest-ignores-power-button"),
    mark("whole"),
    mark("its last record before the cut is no stop: it was stopped by force or lost power"),
    mark("did not run on the UPS's host before the cut"),
    mark("did not come back"),
    mark("from the loss of the mains to the output going off"),
    mark("from the return of the mains, nobody touching anything"),
    mark("did not come back by itself"),
    mark("its power was never switched off"),
    mark("at least"),
    *(mark("clean"), mark("hard-stopped"), mark("cut"), mark("commissioning")),
    *(mark("runtime"), mark("estimate"), mark("charge"), mark("voltage"), mark("time")),
    *(mark("refuse"), mark("own-thresholds"), mark("own-word")),
    *(mark("seen-cut"), mark("ignored-on-line"), mark("never-cut"), mark("stays-off")),
    *(mark("quick"), mark("deep"), mark("measured"), mark("estimated")),
    mark("nobody asked it to stop"),
    mark("the host lost its power, or broke down, before anybody asked it to stop"),
    mark("asked to stop, but no task of it is left"),
    mark("its task has no end: the power or the host went first"),
)
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_SEPARATORS = re.compile(r"[.:/]")


@dataclass(frozen=True, slots=True)
class Said:
    """A text to show; `foreign` when it is the evidence's own English on a page that is not."""

    text: str
    foreign: bool = False


def split_id(id_: str, subjects: Collection[str]) -> tuple[str, str]:
    """Return a check's id without the guests and hosts in it, and those, as one text."""
    parts = _SEPARATORS.split(id_)
    mine = [part for part in parts if part in subjects]
    return ".".join(part for part in parts if part not in subjects), ", ".join(mine)


def words_of(id_: str, subjects: Collection[str]) -> tuple[Words | None, str]:
    """Return what is known of a check's id, and the guest or host it is about."""
    stem, subject = split_id(id_, subjects)
    return CHECKS.get(id_) or CHECKS.get(stem), subject


def say_check(id_: str, subjects: Collection[str], language: Language) -> Said:
    """Return a check as a sentence, with the guest or host it is about in front."""
    words, subject = words_of(id_, subjects)
    if words is None:
        return Said(id_.replace("-", " ").replace("_", " "), foreign=language.code != "en")
    sentence = language.text(words.sentence)
    if not subject:
        return Said(sentence)
    return Said(language.text("{subject}: {what}", subject=subject, what=sentence))


def _pattern(phrase: str) -> re.Pattern[str]:
    pieces = re.split(r"\{(\w+)\}", phrase)
    return re.compile(
        "".join(
            f"(?P<{piece}>.+?)" if number % 2 else re.escape(piece)
            for number, piece in enumerate(pieces)
        )
    )


_PATTERNS = [(_pattern(phrase), phrase, effect) for phrase, effect in PHRASES.items()]


def say_event(what: str, language: Language) -> tuple[Said, str]:
    """Return what happened in the reader's language, and its effect on the subject."""
    for pattern, phrase, effect in _PATTERNS:
        if found := pattern.fullmatch(what.strip()):
            values = {key: _localise(value, language) for key, value in found.groupdict().items()}
            return Said(language.text(phrase, **values)), effect
    return Said(what, foreign=language.code != "en" and bool(what)), ""


def say_subject(name: str, language: Language) -> str:
    """Return whom an event is about: hosts and guests keep their names, things are translated."""
    return language.text(name) if name in THINGS else name


def say_note(note: str, language: Language) -> Said:
    """Return a note of the evidence, translated when it is one of the known texts."""
    if note in NOTES or language.knows(note):
        return Said(language.text(note))
    return say_event(note, language)[0]


def _localise(value: str, language: Language) -> str:
    if _DAY.fullmatch(value):
        return language.day(value)
    try:
        return language.number(float(value) if "." in value else int(value))
    except ValueError:
        return language.text(value)
