"""What a SHUTDOWNCMD really does, as far as its words tell."""

from __future__ import annotations

import enum
import re
import shlex

from releve.power.lint.shell import read_shell


class Effect(enum.Enum):
    """What becomes of the host."""

    STOPS = enum.auto()
    LATE = enum.auto()  # a minute or more after everybody was told that it is now
    REBOOTS = enum.auto()
    NOTHING = enum.auto()
    CUTS = enum.auto()  # takes the power from under itself and everybody
    UNKNOWN = enum.auto()  # a script or a program that we do not know


_SPLIT = re.compile(r"&&|\|\||[;|&\n]")
_IDLE = frozenset(
    [
        ":",
        "true",
        "false",
        "echo",
        "printf",
        "logger",
        "wall",
        "sleep",
        "sync",
        "exit",
        "=",  # as ups.conf has it: NUT takes it for the whole command
        "test",
        "[",
        "notify-send",
    ]
)
_SET = re.compile(r"[A-Za-z_]\w*=\S*")  # a variable for what follows
_SUDO_FLAG = re.compile(r"-\w+")
_SHUTDOWN_FLAGS = frozenset("HPrhkKafFct")  # of systemd's shutdown; BSD's -p is none of them
_TIME = re.compile(r"now|\+?\d+|\d{1,2}:\d{2}")
_SHELLS = frozenset(["sh", "bash", "dash"])


def effect_of(command: str) -> Effect:
    """Judge a command line by its parts; the strongest part counts.

    upsmon hands it to a shell, which runs nothing of what it cannot read.
    """
    if read_shell(command).open_line is not None:
        return Effect.NOTHING
    parts = map(_words, _SPLIT.split(_unwrapped(command)))
    found = {_effect(words) for words in parts if words}
    for effect in (Effect.CUTS, Effect.STOPS, Effect.REBOOTS, Effect.LATE, Effect.UNKNOWN):
        if effect in found:
            return effect
    return Effect.NOTHING


def uses_sudo(command: str) -> bool:
    """Tell whether a part of it asks sudo."""
    return any(
        part.split()[:1] and _name(part.split()[0]) == "sudo" for part in _SPLIT.split(command)
    )


def _words(part: str) -> list[str]:
    """Return the words as a shell has them; a quote that another part closes stays as it is."""
    try:
        return shlex.split(part)
    except ValueError:
        return part.split()


def _unwrapped(command: str) -> str:
    """Look into `sh -c '...'`."""
    inner = re.fullmatch(r"\s*\S*/?(?:sh|bash|dash)\s+-\w*c\s+(['\"])(.*)\1\s*", command)
    return inner.group(2) if inner else command


def _name(word: str) -> str:
    return word.rsplit("/", 1)[-1]


def _effect(words: list[str]) -> Effect:  # noqa: PLR0911  # a table of programs
    while words and (_name(words[0]) in ("sudo", "exec", "nohup") or _SET.fullmatch(words[0])):
        words = words[1:]
        while words and _SUDO_FLAG.fullmatch(words[0]):
            words = words[1:]
    if not words:
        return Effect.NOTHING
    name, rest = _name(words[0]), words[1:]
    if name == "shutdown":
        return _shutdown(rest)
    if name in ("poweroff", "halt"):
        return Effect.REBOOTS if "--reboot" in rest else Effect.STOPS
    if name == "reboot":
        return Effect.STOPS if {"-p", "--poweroff", "--halt"} & {*rest} else Effect.REBOOTS
    if name in ("init", "telinit"):
        return {"0": Effect.STOPS, "6": Effect.REBOOTS}.get(rest[0] if rest else "", Effect.NOTHING)
    if name == "systemctl":
        return _systemctl([word for word in rest if not word.startswith("-")])
    if name in ("upsdrvctl", "upscmd"):
        cuts = any(word.startswith(("shutdown", "load.off")) for word in rest)
        return Effect.CUTS if cuts and "shutdown.stop" not in rest else Effect.NOTHING
    if name in _IDLE or (name in _SHELLS and not rest):
        return Effect.NOTHING
    return Effect.UNKNOWN


def _systemctl(verbs: list[str]) -> Effect:
    if {"poweroff", "halt", "hibernate", "kexec"} & {*verbs[:1]}:
        return Effect.STOPS
    if verbs[:1] == ["reboot"]:
        return Effect.REBOOTS
    if verbs[:1] in (["start"], ["isolate"]):
        return Effect.STOPS if verbs[1:] and verbs[1].startswith("poweroff") else Effect.UNKNOWN
    return Effect.NOTHING


def _shutdown(rest: list[str]) -> Effect:
    """`shutdown` of systemd: without a time it waits a minute."""
    flags = {flag for word in rest if word.startswith("-") for flag in _flags(word)}
    if {"c", "k"} & flags or flags - _SHUTDOWN_FLAGS:  # what it does not know, it refuses
        return Effect.NOTHING
    if "r" in flags:
        return Effect.REBOOTS
    times = [
        word
        for before, word in zip(["", *rest], rest, strict=False)
        if not word.startswith("-") and not re.fullmatch(r"-[A-Za-z]*t", before)  # -t SECONDS
    ]
    if times and not _TIME.fullmatch(times[0]):
        return Effect.NOTHING
    return Effect.STOPS if times and times[0] in ("now", "+0", "0") else Effect.LATE


def _flags(word: str) -> str:
    return {"--reboot": "r", "--show": "k"}.get(word, "" if word.startswith("--") else word[1:])
