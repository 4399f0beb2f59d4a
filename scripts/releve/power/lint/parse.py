"""Split NUT's files into words exactly as NUT 2.8.1 does (common/parseconf.c).

Nothing here ever fails: what NUT cannot read is a broken line, as it is for NUT.
"""

from __future__ import annotations

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
