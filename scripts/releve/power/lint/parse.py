"""Split NUT's files into words exactly as NUT 2.8.1 does (common/parseconf.c), and nut.conf as a
shell does.

Nothing here ever fails: what NUT cannot read is a broken line, as it is for NUT.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MOST_WORDS = 32  # PCONF_DEFAULT_ARG_LIMIT: further words of a line are dropped
LONGEST_WORD = 512  # PCONF_DEFAULT_WORDLEN_LIMIT: further characters of a word are dropped
_BLANK = frozenset(" \t\v\f\r")
_FIND, _COMMENT, _QUOTED, _QUOTED_NEXT, _WORD, _WORD_NEXT = range(6)


@dataclass(frozen=True, slots=True)
class Line:
    """One logical line: where it begins (from 1) and its words.

    `broken`: NUT could not read it, and skips it. `remnant`: it is the rest of a broken line, which
    NUT takes for a line of its own (never show its words: they may be half a password). `cut`: a
    `#` inside a word made a comment of the rest.
    """

    number: int
    words: tuple[str, ...]
    broken: bool = False
    remnant: bool = False
    cut: bool = False


class _Splitter:
    """The state machine of parseconf.c, a character at a time."""

    def __init__(self) -> None:
        self.done: list[Line] = []
        self.number = 1  # of the physical line
        self.remnant = False
        self._begin()

    def _begin(self) -> None:
        self.words: list[str] = []
        self.word = ""
        self.state = _FIND
        self.start = 0  # the physical line of the first word
        self.cut = False

    def feed(self, character: str) -> None:
        """Take one character."""
        if not self.start and character not in _BLANK and character not in "\n#":
            self.start = self.number
        newline = character == "\n"
        if self.state in (_FIND, _COMMENT, _WORD) and newline:
            self._end_line()
        elif self.state == _FIND:
            self._find(character)
        elif self.state == _WORD:
            self._collect(character)
        elif self.state == _QUOTED:
            self._collect_quoted(character)
        elif self.state in (_QUOTED_NEXT, _WORD_NEXT):  # a backslash; before a newline it joins
            self._add(character)
            self.state = _QUOTED if self.state == _QUOTED_NEXT else _WORD
        self.number += newline

    def _find(self, character: str) -> None:
        if character == "#":
            self.state = _COMMENT
        elif character == "\\":
            self.state = _WORD_NEXT
        elif character == '"':
            self.state = _QUOTED
        elif character not in _BLANK:
            self._add(character)
            self.state = _WORD
            if character == "=":  # a word of its own
                self._end_word()

    def _collect(self, character: str) -> None:
        if character == "#":
            self.cut = bool(self.word)
            self._end_word()
            self.state = _COMMENT
        elif character == "=":
            self._end_word()
            self.word = "="
            self._end_word()
        elif character in _BLANK:
            self._end_word()
        elif character == "\\":
            self.state = _WORD_NEXT
        else:
            self._add(character)

    def _collect_quoted(self, character: str) -> None:
        if character == "#":  # "Unbalanced word due to unescaped # in quotes"
            self._end_word()
            self._end_line(broken=True)
        elif character == '"':
            self._end_word()
        elif character == "\\":
            self.state = _QUOTED_NEXT
        else:
            self._add(character)

    def _add(self, character: str) -> None:
        if " " <= character <= "\x7f" and len(self.word) < LONGEST_WORD:
            self.word += character

    def _end_word(self) -> None:
        if len(self.words) < MOST_WORDS:
            self.words.append(self.word)
        self.word = ""
        self.state = _FIND

    def _end_line(self, *, broken: bool = False) -> None:
        if self.state == _WORD:
            self._end_word()
        if self.words or broken:
            self.done.append(
                Line(
                    self.start or self.number, tuple(self.words), broken, self.remnant, self.cut
                )
            )  # fmt: skip
        self.remnant = broken
        self._begin()

    def finish(self) -> None:
        """Take the end of the file: a single word without a newline is dropped there."""
        if self.words:
            if self.word:
                self._end_word()
            self.state = _FIND
            self._end_line()


def nut_lines(text: str) -> list[Line]:
    """Return the lines of a file that NUT reads, without empty ones and comments.

    `text` holds one character a byte (latin-1), since NUT drops whatever is not ASCII.
    """
    splitter = _Splitter()
    for character in text:
        splitter.feed(character)
    splitter.finish()
    return splitter.done


def atoi(text: str) -> int:
    """Read a number as C's atoi: leading digits, else 0."""
    text = text.strip()
    digits = text[1:] if text[:1] in ("+", "-") else text
    count = 0
    while count < len(digits) and digits[count] in "0123456789":
        count += 1
    value = min(int(digits[: min(count, 10)] or 0), 2**31 - 1)
    return -value if text.startswith("-") else value


@dataclass(frozen=True, slots=True)
class Stray:
    """A line that a shell does not take for an assignment, and what systemd makes of it."""

    line: int
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Shell:
    """What a shell makes of nut.conf.

    `values`: the last value of each variable. `lines`: where it was set. `strays`: lines that set
    nothing, since a shell runs them as commands; systemd, which reads the file too, takes those
    with an equals sign for variables all the same.
    `open_line`: where a quote is opened that nothing closes: the shell gives up.
    """

    values: dict[str, str]
    lines: dict[str, int]
    strays: tuple[Stray, ...] = ()
    open_line: int | None = None


_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)


def read_shell(text: str) -> Shell:
    """Read nut.conf as /bin/sh does when Debian's wrappers of upsd and upsmon source it."""
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    strays: list[Stray] = []
    commands, open_line = _commands(text)
    for number, words in commands:
        names = words[1:] if words[0] in ("export", "readonly") and len(words) > 1 else words
        found = [_ASSIGNMENT.fullmatch(word) for word in names]
        if all(found):
            for one in found:
                if one:
                    values[one.group(1)], lines[one.group(1)] = one.group(2), number
        else:
            name, _, value = "".join(words).replace("\0", "").partition("=")
            strays.append(Stray(number, name, value))
    return Shell(values, lines, tuple(strays), open_line)


def _commands(  # noqa: PLR0912  # one loop over a small grammar
    text: str,
) -> tuple[list[tuple[int, list[str]]], int | None]:
    """Return each simple command with its line, and the line of a quote that stays open."""
    commands: list[tuple[int, list[str]]] = []
    words: list[str] = []
    word: str | None = None  # None: between two words
    number = start = 1
    quote, quote_line, escaped = "", 1, False
    for character in [*text, "\n", "\n"]:  # two: the first may be escaped
        if escaped:
            escaped = False
            if character != "\n":
                word = (word or "") + character
        elif quote:
            quote, word, escaped = _in_quotes(character, quote, word or "")
        elif character == "\\":
            escaped, word = True, _name_quoted(word)
        elif word is None and character == "#":
            quote, quote_line = "#", number
        elif character in "'\"":
            quote, quote_line, word = character, number, _name_quoted(word)
        elif character in " \t\n;&|":
            if word is not None:
                start = start if words else number
                words.append(word)
                word = None
            if character not in " \t" and words:
                commands.append((start, words))
                words = []
        else:
            word = (word or "") + character
        if character == "\n":
            if quote == "#":
                quote = ""
                if words:
                    commands.append((start, words))
                    words, word = [], None
            number += 1
    return commands, quote_line if quote else None


def _name_quoted(word: str | None) -> str:
    """Mark a word that is quoted before its equals sign: for a shell it then assigns nothing."""
    word = word or ""
    return word if "=" in word else f"\0{word}"


def _in_quotes(character: str, quote: str, word: str) -> tuple[str, str | None, bool]:
    """Return the quote that is still open, the word so far, and whether a backslash came."""
    if quote == "#":
        return quote, None, False
    if character == quote:
        return "", word, False
    if quote == '"' and character == "\\":
        return quote, word, True
    return quote, word + character, False
