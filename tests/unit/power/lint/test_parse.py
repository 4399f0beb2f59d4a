"""NUT's words, as NUT 2.8.1 takes them; and no file is too odd to read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from releve.power.lint.model import FILES
from releve.power.lint.parse import nut_lines
from releve.power.lint.read import read_texts
from releve.power.lint.verdict import judge

# Text -> (broken, words) of each line: what common/parseconf.c of 2.8.1 was seen to return.
KNOWN = {
    'this "is also" a line\n': [(False, ("this", "is also", "a", "line"))],
    "embedded\\ space\n": [(False, ("embedded space",))],
    "a=b\n": [(False, ("a", "=", "b"))],
    "a= b # c\n": [(False, ("a", "=", "b"))],
    "a\\\n b\n": [(False, ("a", "b"))],
    '"a\nb" c\n': [(False, ("ab", "c"))],
    "p = ab#c\n": [(False, ("p", "=", "ab"))],
    'p = "ab#c" d\ne\n': [(True, ("p", "=", "ab")), (False, ('c"', "d")), (False, ("e",))],
    "a\\#b\n": [(False, ("a#b",))],
    "r\xe9seau\n": [(False, ("rseau",))],
    "a b": [(False, ("a", "b"))],
    "alone": [],
    "a\r\nb\r\n": [(False, ("a",)), (False, ("b",))],
    'a"b c"\n': [(False, ('a"b', 'c"'))],
}


@pytest.mark.parametrize("text", KNOWN)
def test_words_are_those_of_nut(text: str) -> None:
    assert [(line.broken, line.words) for line in nut_lines(text)] == KNOWN[text]


def test_lines_have_the_number_of_their_first_word() -> None:
    text = '# one\n\na b\nc \\\nd\n"e#f" g\nh\n'

    assert [line.number for line in nut_lines(text)] == [3, 4, 6, 6, 7]


ODD = [
    '"',
    "\\",
    "#",
    "\n",
    " ",
    "\t",
    "\r\n",
    "\0",
    "\xff",
    "'",
    ";",
    "=",
    "[",
    "]",
    "[]",
    "@",
    "@:",
]
PLAIN = [
    "[ups]",
    "driver",
    "port",
    "usbhid-ups",
    "snmp-ups",
    "MONITOR",
    "ups@localhost",
    "[::1]:x",
    "1",
    "-1",
    "99999999999999999999",
    "primary",
    "password",
    "upsmon",
    "LISTEN",
    "::",
    "AT",
    "ONBATT",
    "*",
    "START-TIMER",
    "CANCEL-TIMER",
    "EXECUTE",
    "NOTIFYFLAG",
    "EXEC+",
    "SHUTDOWNCMD",
    "MODE=",
    "netserver",
    "override.battery.charge.low",
    "offdelay",
    "MINSUPPLIES",
    "POWERDOWNFLAG",
    "CERTVERIFY",
    "pollinterval",
    "serial",
    "device",
    "vendorid",
    "0764",
    "DEADTIME",
    "default.battery.voltage.low",
    "nan",
    "inf",
    "1e999",
    "+",
    "-",
]
WORDS = st.sampled_from([*ODD, *PLAIN])
TEXTS = st.one_of(
    st.lists(WORDS, max_size=60).map(" ".join),
    st.lists(WORDS, max_size=60).map("".join),
    st.binary(max_size=200).map(lambda data: data.decode("latin-1")),
)


@given(st.dictionaries(st.sampled_from(FILES), TEXTS))
def test_no_text_is_too_odd(texts: dict[str, str]) -> None:
    conf = read_texts(texts)

    assert judge(conf).verdict in ("refuse", "warn", "ok")
    assert judge(conf).document()["format"] == 1
