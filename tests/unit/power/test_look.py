"""`look` shows what upsd says, or says that it says nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.unit.power.small_upsd import SmallUpsd, serving

from releve.errors import ExitCode
from releve.power import look
from releve.power.shadow.stand_in import StandIn

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def upsd() -> Iterator[SmallUpsd]:
    with serving(SmallUpsd({"ups.status": "OL CHRG", "ups.model": 'a "big" one'})) as one:
        one.logged_in = ["127.0.0.1", "198.51.100.12"]
        yield one


def test_variables_and_clients(upsd: SmallUpsd, capsys: pytest.CaptureFixture[str]) -> None:
    code = look.main(["ups1", "--port", str(upsd.link.port)])

    assert code == ExitCode.DONE
    assert json.loads(capsys.readouterr().out) == {
        "variables": {"ups.status": "OL CHRG", "ups.model": 'a "big" one'},
        "clients": ["127.0.0.1", "198.51.100.12"],
    }


@pytest.fixture
def policy() -> Iterator[StandIn]:
    """An upsd in mode policy: nobody is logged in at the real UPS."""
    here = StandIn("127.0.0.1", 0, ["ups1", "ups1-site", "ups1-early"])
    here.values = {
        "ups1": {"ups.status": "OB DISCHRG", "battery.charge": "80"},
        "ups1-site": {"ups.status": "OB"},
        "ups1-early": {"ups.status": "OB"},
    }
    here.logins["ups1-site"] = {1}
    yield here
    here.server.shutdown()
    here.server.server_close()


def asked(policy: StandIn, *followed: str) -> look.UpsSeen:
    return look.look("ups1", port=int(policy.server.server_address[1]), followed=followed)


def test_who_is_logged_in_is_asked_of_what_monitors_follow(policy: StandIn) -> None:
    assert asked(policy).clients == ()
    assert asked(policy, "ups1-site", "ups1-early").clients == ("127.0.0.1",)


def test_a_shutdown_of_what_monitors_follow_is_one_of_the_ups(policy: StandIn) -> None:
    before = asked(policy, "ups1-site", "ups1-early")
    policy.values["ups1-site"]["ups.status"] = "FSD OB LB"
    after = asked(policy, "ups1-site", "ups1-early")

    assert before.status == {"OB", "DISCHRG"}
    assert not before.told
    assert after.status == {"OB", "DISCHRG", "FSD"}  # not LB: the UPS does not say that
    assert after.told == {"ups1-site"}
    assert after.variables["battery.charge"] == "80"
    assert asked(policy).status == before.status


def test_a_tier_that_stops_before_the_site_is_told_alone(policy: StandIn) -> None:
    policy.values["ups1-early"]["ups.status"] = "FSD OB LB"
    seen = asked(policy, "ups1-site", "ups1-early")

    assert seen.told == {"ups1-early"}
    assert seen.status == {"OB", "DISCHRG"}  # the site goes on


def test_a_ups_that_is_followed_itself_is_told_by_its_own_word() -> None:
    assert look.UpsSeen({"ups.status": "OB LB FSD"}, ()).told
    assert not look.UpsSeen({"ups.status": "OB LB"}, ()).told


def test_what_is_followed_is_printed(policy: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    port = str(policy.server.server_address[1])

    assert look.main(["ups1", "--port", port, "--followed", "ups1-site"]) == ExitCode.DONE
    assert json.loads(capsys.readouterr().out)["followed"] == {"ups1-site": "OB"}


def test_a_virtual_ups_that_is_not_there_is_no_answer(
    policy: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    port = str(policy.server.server_address[1])

    assert look.main(["ups1", "--port", port, "--followed", "ups1-other"]) == ExitCode.LATER
    assert "UNKNOWN-UPS" in capsys.readouterr().err


def test_stale_data_are_said_in_one_sentence(
    upsd: SmallUpsd, capsys: pytest.CaptureFixture[str]
) -> None:
    upsd.stale = True

    assert look.main(["ups1", "--port", str(upsd.link.port)]) == ExitCode.LATER
    said = capsys.readouterr()
    assert said.out == ""
    assert "DATA-STALE" in said.err
    assert said.err.count("\n") == 1


def test_it_goes_on_until_nobody_reads(upsd: SmallUpsd) -> None:
    words = [sys.executable, "-c", "import sys; from releve.power.look import main; "
             "sys.exit(main(sys.argv[1:]))", "ups1", "--every", "0.02",
             "--port", str(upsd.link.port)]  # fmt: skip
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = json.loads(process.stdout.readline())
        upsd.stale = True
        later = json.loads(process.stdout.readline())
        while "error" not in later:
            later = json.loads(process.stdout.readline())
        process.stdout.close()
        assert process.wait(timeout=10) == 0
        assert process.stderr.read() == b""
    assert first["variables"]["ups.status"] == "OL CHRG"
    assert first["at"].endswith("Z")
    assert "DATA-STALE" in later["error"]
