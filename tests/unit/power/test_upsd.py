"""Upsd's answers are taken as they are meant, and its refusals named."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from tests.unit.power.small_upsd import PASSWORD, SmallUpsd, serving

from releve.errors import CheckError
from releve.power.upsd import NoAnswerError, NoSuchUserError, Upsd, User

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TESTER = User("tester", PASSWORD)


@pytest.fixture
def upsd() -> Iterator[SmallUpsd]:
    values = {"ups.status": "OL CHRG", "ups.model": 'The "big" one \\ 2'}
    with serving(SmallUpsd(values, {"test.battery.start.quick": lambda: None})) as small:
        yield small


def test_variables_and_commands_are_read(upsd: SmallUpsd) -> None:
    assert upsd.link.variables("ups1") == upsd.values
    assert upsd.link.commands("ups1") == {"test.battery.start.quick"}


def test_stale_data_and_silence_are_no_answer(upsd: SmallUpsd) -> None:
    upsd.stale = True

    with pytest.raises(NoAnswerError, match="DATA-STALE"):
        upsd.link.variables("ups1")
    with pytest.raises(NoAnswerError, match="UNKNOWN-UPS"):
        upsd.link.variables("ups9")
    with pytest.raises(NoAnswerError, match="does not answer"):
        Upsd(port=1).variables("ups1")


@pytest.mark.parametrize("tracking", [True, False])
def test_a_command_is_sent_once(upsd: SmallUpsd, tracking: bool) -> None:
    upsd.tracking = tracking

    upsd.link.send("ups1", "test.battery.start.quick", TESTER)

    assert upsd.sent == ["test.battery.start.quick"]


def test_a_command_that_nobody_takes_is_an_error(upsd: SmallUpsd) -> None:
    with pytest.raises(NoSuchUserError, match="ACCESS-DENIED") as denied:
        upsd.link.send("ups1", "test.battery.start.quick", User("tester", "wrong-one"))
    assert "wrong-one" not in str(denied.value)
    with pytest.raises(CheckError, match="CMD-NOT-SUPPORTED"):
        upsd.link.send("ups1", "test.battery.start.deep", TESTER)
    upsd.refuses = True
    with pytest.raises(CheckError, match="FAILED"):
        upsd.link.send("ups1", "test.battery.start.quick", TESTER)


def test_a_command_that_was_taken_is_believed_though_upsd_then_falls_silent(
    upsd: SmallUpsd, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = upsd.answers

    def silent(line: str, state: dict[str, str]) -> list[str]:
        return [] if line.startswith("GET TRACKING") else answers(line, state)

    monkeypatch.setattr(upsd, "answers", silent)
    link = dataclasses.replace(upsd.link, timeout=0.3)
    link.send("ups1", "test.battery.start.quick", TESTER)

    assert upsd.sent == ["test.battery.start.quick"]


def test_the_password_is_read_at_the_host(tmp_path: Path) -> None:
    file = tmp_path / "upsd.users"
    file.write_text(
        '[primary]\n  password = "not-this-one"\n  upsmon primary\n\n'
        f'[tester]\n  password = "{PASSWORD}"\n  instcmds = test.battery.start.quick\n'
    )

    user = User.read(file, "tester")

    assert user == TESTER
    assert PASSWORD not in repr(user)
    with pytest.raises(NoSuchUserError, match="no user"):
        User.read(file, "nobody")
    with pytest.raises(NoSuchUserError, match="cannot be read"):
        User.read(tmp_path / "absent", "tester")
