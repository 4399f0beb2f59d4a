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
