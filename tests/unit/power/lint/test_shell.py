"""nut.conf, as dash and systemd were seen to take it on Debian 13."""

from __future__ import annotations

import pytest

from releve.power.lint.read import read_texts
from releve.power.lint.shell import read_shell
from releve.power.lint.verdict import judge


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("MODE=netserver\n", "netserver"),
        ('export MODE="netserver" # why\n', "netserver"),
        ("MODE=none\nMODE='netclient'\n", "netclient"),
        ("A=1; MODE=none\n", "none"),
        ("MODE=net\\\nserver\n", "netserver"),
        ("# MODE=none\n", None),
        ("MODE = none\n", None),
        ("MODE= none\n", None),
        ("MODE=none upsd\n", None),
        ('"MODE=none"\n', None),
        ("MODE=netserver\r\n", "netserver\r"),
        ("\xef\xbb\xbfMODE=none\n", None),
    ],
)
def test_the_mode_is_the_one_that_a_shell_sees(text: str, mode: str | None) -> None:
    assert read_shell(text).values.get("MODE") == mode


def test_a_quote_that_stays_open_ends_the_shell() -> None:
    assert read_shell("A=1\nB='2\nMODE=none\n").open_line == 2


@pytest.mark.parametrize(
    ("text", "daemons", "late"),
    [
        ("MODE=${X:-netserver}\n", "netserver", "netserver"),
        ("MODE=${X-netserver}\n", "netserver", "netserver"),
        ("X=\nMODE=${X-netserver}\n", "", ""),
        ("X=\nMODE=${X:-netserver}\n", "netserver", "netserver"),
        ('X=netclient\nMODE="$X"\n', "netclient", "netclient"),
        ("X=client\nMODE=net${X}\n", "netclient", "netclient"),
        ("MODE=net$X\\server\n", "netserver", "netserver"),
        ("X=1\nMODE=${X:+netserver}\n", "netserver", "netserver"),
        (": ${MODE:=netserver}\n", "netserver", "netserver"),
        ("MODE='$X'\n", "$X", "$X"),
        ("MODE=\\$X\n", "$X", "$X"),
        ("MODE=a$\n", "a$", "a$"),
        ('export "MODE=netserver"\n', "netserver", "netserver"),
        ("export MODE X=1\n", None, None),
        ("if [ -d /etc/nut ]; then MODE=netserver; fi\n", "netserver", "netserver"),
        # systemd has handed these very letters on, and the wrapper finds them in its environment.
        ("MODE=${MODE:-netserver}\n", "${MODE:-netserver}", "netserver"),
        ("export MODE=${MODE:-netserver}\n", "netserver", "netserver"),
        ("X = netserver\nMODE=$X\n", "netserver", ""),
    ],
)
def test_a_variable_is_what_it_is_for_who_reads_it(
    text: str, daemons: str | None, late: str | None
) -> None:
    found = read_shell(text)
    assert (found.values.get("MODE"), found.late.get("MODE")) == (daemons, late)


@pytest.mark.parametrize(
    "text",
    [
        "MODE=$(cat /etc/mode here)\n",
        "MODE=`cat /etc/mode`\n",
        'MODE="$(cat "/etc/my mode")"\n',
        "MODE=${X%server}\n",
        "MODE=net$((1 + 1))\n",
        "X=$(true)\nMODE=$X\n",
        "MODE=$$\n",
        ". /etc/default/nut\n",
    ],
)
def test_what_a_command_works_out_is_no_verdict(text: str) -> None:
    found = {one.id for one in judge(read_texts({"nut.conf": text})).findings}
    assert found == {"NC_MODE_COMPUTED"}


def test_a_value_after_a_command_is_known() -> None:
    found = read_shell("MODE=$(false)\nMODE=netserver\n")
    assert (found.values["MODE"], found.computed) == ("netserver", {})
