"""Read nut.conf as those do who really read it on Debian 13.

systemd reads it first (EnvironmentFile= of each unit) and expands nothing; the wrappers of upsd and
upsmon, which it starts with that environment, and the late hook, which has none of it, source the
file with /bin/sh. NUT's own programs do not read it. Nothing here ever fails.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_ASSIGNMENT = re.compile(rf"{_NAME}=.*", re.DOTALL)
_DECLARED = re.compile(rf"{_NAME}(?:=.*)?", re.DOTALL)
# Where something is expanded, since a $ that is quoted or escaped stays one; and where quoting
# begins or ends: a name with that in it assigns nothing, and one of a variable ends there.
_DOLLAR, _BACKTICK, _QUOTED = "\1", "\2", "\0"
_VARIABLE = re.compile(
    rf"{_DOLLAR}(?:({_NAME})|{{({_NAME})(?:(:?[-=+])([^{_DOLLAR}{_BACKTICK}{{}}]*))?}})"
)
_LONE = re.compile(rf"{_DOLLAR}(?![A-Za-z0-9_{{(?!{_DOLLAR}#@*-])")  # a $ that begins nothing
_RESERVED = frozenset(["if", "then", "else", "elif", "fi", "do", "done", "while", "until", "!",
                       "{", "}"])  # fmt: skip
_DECLARES = frozenset(["export", "readonly"])
_SOURCES = frozenset([".", "source", "eval"])
_CLOSES = {"{": "}", "(": ")"}


@dataclass(frozen=True, slots=True)
class Stray:
    """A line that a shell does not take for an assignment, and what systemd makes of it."""

    line: int
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Shell:
    """What a shell makes of nut.conf.

    `values`: the last value of each variable as the daemons' wrappers see it, `late` as the late
    hook does. `lines`: where it was set. `computed`: names whose value a command works out, with
    its line; "." where another file is read. `strays`: lines that set nothing, since a shell runs
    them as commands; systemd, which reads the file too, takes those with an equals sign for
    variables all the same. `open_line`: where a quote is opened that nothing closes: the shell
    gives up.
    """

    values: dict[str, str]
    lines: dict[str, int]
    strays: tuple[Stray, ...] = ()
    open_line: int | None = None
    computed: dict[str, int] = field(default_factory=dict)
    late: dict[str, str] = field(default_factory=dict)


def read_shell(text: str) -> Shell:
    """Read nut.conf as /bin/sh does when Debian's wrappers of upsd and upsmon source it."""
    words = _Words()
    for character in [*text, "\n", "\n"]:  # two: the first may be escaped
        words.feed(character)
    commands = [(number, _unreserved(found)) for number, found in words.commands]
    strays = tuple(_stray(number, found) for number, found in commands if not _assigns(found))
    daemons = _Run(_of_systemd(commands, strays))
    late = _Run({})
    for number, found in commands:
        daemons.take(number, found)
        late.take(number, found)
    open_line = words.quote_line if words.quote else None
    values = {name: daemons.values[name] for name in daemons.lines if name in daemons.values}
    return Shell(values, daemons.lines, strays, open_line, daemons.computed, late.values)


def _unreserved(words: list[str]) -> list[str]:
    while len(words) > 1 and words[0] in _RESERVED:
        words = words[1:]
    return words


def _names(words: list[str]) -> list[str]:
    """Return the words of which each may assign; a declaration takes them quoted, too."""
    if words[0] not in _DECLARES or len(words) == 1:
        return words
    return [word.lstrip(_QUOTED) for word in words[1:]]


def _assigns(words: list[str]) -> bool:
    """Tell whether a command is nothing but assignments; a declaration may name others, too."""
    form = _DECLARED if words[0] in _DECLARES else _ASSIGNMENT
    return all(form.fullmatch(word) for word in _names(words))


def _stray(number: int, words: list[str]) -> Stray:
    name, _, value = _literal("".join(words)).partition("=")
    return Stray(number, name, value)


def _literal(word: str) -> str:
    """Return a word as it is written, nothing expanded."""
    return word.replace(_QUOTED, "").replace(_DOLLAR, "$").replace(_BACKTICK, "`")


def _of_systemd(commands: list[tuple[int, list[str]]], strays: tuple[Stray, ...]) -> dict[str, str]:
    """Return the environment that systemd makes of the file: a declared variable is none to it."""
    found = {one.name: one.value for one in strays if re.fullmatch(_NAME, one.name)}
    for _number, words in commands:
        for word in words if _assigns(words) and words[0] not in _DECLARES else ():
            name, _, value = word.partition("=")
            found[name] = _literal(value)
    return found


class _Run:
    """A shell's variables while it runs the commands of the file."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.values = dict(environment)
        self.lines: dict[str, int] = {}
        self.computed: dict[str, int] = {}

    def take(self, number: int, words: list[str]) -> None:
        if not _assigns(words):
            if words[0] in _SOURCES and len(words) > 1:
                self.computed["."] = number
            for word in words:
                self._expand(word, number)  # ${NAME:=word} assigns
            return
        for word in _names(words):
            name, equals, value = word.partition("=")
            if equals:
                self._set(name, self._expand(value, number), number)

    def _set(self, name: str, value: str | None, number: int) -> None:
        self.lines[name] = number
        if value is None:
            self.computed[name] = number
            self.values.pop(name, None)
        else:
            self.computed.pop(name, None)
            self.values[name] = value

    def _expand(self, word: str, number: int) -> str | None:
        """Return what a word becomes; None: only a shell can tell."""
        word = _LONE.sub("$", word)
        if _DOLLAR + _DOLLAR in word:  # the shell's own process
            return None
        while (found := _VARIABLE.search(word)) is not None:
            name, how, other = found[1] or found[2], found[3] or "", found[4] or ""
            if name in self.computed:
                return None
            value = self._variable(name, how, other, number)
            word = word[: found.start()] + value + word[found.end() :]
        return None if {_DOLLAR, _BACKTICK} & {*word} else word.replace(_QUOTED, "")

    def _variable(self, name: str, how: str, other: str, number: int) -> str:
        there = name in self.values and (bool(self.values[name]) or not how.startswith(":"))
        if how.endswith("+"):
            return other if there else ""
        if how and not there:
            if how.endswith("="):
                self._set(name, other, number)
            return other
        return self.values.get(name, "")


class _Words:
    """Takes a text apart into simple commands of words, a character at a time."""

    def __init__(self) -> None:
        self.commands: list[tuple[int, list[str]]] = []
        self.words: list[str] = []
        self.word: str | None = None  # None: between two words
        self.number = self.start = 1
        self.quote, self.quote_line = "", 1
        self.escaped = False
        self.closing: list[str] = []  # of ${ and $(, the innermost last

    def feed(self, character: str) -> None:
        """Take one character."""
        if self.escaped:
            self._after_backslash(character)
        elif self.quote:
            self._in_quotes(character)
        else:
            self._outside(character)
        if character == "\n":
            if self.quote == "#":
                self.quote = ""
                self._end_command()
            self.number += 1

    def _outside(self, character: str) -> None:
        if character == "\\":
            self.escaped = True
        elif self.word is None and character == "#":
            self.quote, self.quote_line = "#", self.number
        elif character in "'\"":
            self.quote, self.quote_line = character, self.number
            self._add(_QUOTED)
        elif self._expands(character):
            pass
        elif character in " \t\n;&|":
            self._end_word()
            if character not in " \t":
                self._end_command()
        else:
            self._add(character)

    def _in_quotes(self, character: str) -> None:
        if self.quote == "#":
            return
        if character == self.quote:
            self.quote = ""
            self._add(_QUOTED)
        elif self.quote == '"' and character == "\\":
            self.escaped = True
        elif self.quote != '"' or not self._expands(character):
            self._add(character)

    def _expands(self, character: str) -> bool:
        """Keep what belongs to an expansion; nothing inside of one ends a word."""
        if character == "`":
            if self.closing[-1:] == ["`"]:
                self.closing.pop()
            else:
                self.closing.append("`")
            self._add(_BACKTICK)
        elif character == "$":
            self._add(_DOLLAR)
        elif character in _CLOSES and (self.word or "").endswith(_DOLLAR):
            self.closing.append(_CLOSES[character])
            self._add(character)
        elif self.closing:
            if character == self.closing[-1]:
                self.closing.pop()
            self._add(character)
        else:
            return False
        return True

    def _after_backslash(self, character: str) -> None:
        self.escaped = False
        if character == "\n":
            return
        self._add(_QUOTED)
        if self.quote and character not in '$`"\\':
            self._add("\\")
        self._add(character)

    def _add(self, character: str) -> None:
        self.word = (self.word or "") + character

    def _end_word(self) -> None:
        if self.word is not None:
            self.start = self.start if self.words else self.number
            self.words.append(self.word)
            self.word = None

    def _end_command(self) -> None:
        if self.words:
            self.commands.append((self.start, self.words))
            self.words, self.word = [], None
