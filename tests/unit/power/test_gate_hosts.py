"""The gates of all hosts are asked from the workstation, and who is not guarded is named."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from releve.cli.power_gate import command
from releve.command import CommandError
from releve.errors import InputError
from releve.power.gate_hosts import Answer, ask, code_of, document, guarded_by, lines_of
from releve.town import load_town

EXAMPLE = Path(__file__).parents[3] / "inventory" / "example" / "town.yml"
GOOD = {"id": "mode", "value": "MODE=netserver", "verdict": "passed", "remedy": "", "ups": ""}
WARNED = {**GOOD, "id": "measured", "verdict": "warning", "value": "commissioning", "ups": "ups1",
          "remedy": "measure it"}  # fmt: skip
SHUT = {**GOOD, "id": "no-fsd", "verdict": "failed", "value": "FSD is set", "ups": "ups1",
        "remedy": "restart nut-server"}  # fmt: skip


@dataclass
class PaperShell:
    """A host that answers once, or not at all."""

    code: int = 0
    out: str = ""
    err: str = ""
    away: bool = False
    line: str = ""

    def run(
        self, command: str, *, timeout: float = 60, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        self.line = command
        assert not check
        assert timeout > 60  # it waits that long for a client to log in
        if self.away:
            raise CommandError(["ssh"], "took longer than 120 s")
        return subprocess.CompletedProcess(["ssh"], self.code, self.out, self.err)


def said(*checks: dict[str, str], code: int = 0) -> PaperShell:
    return PaperShell(code, json.dumps({"format": 1, "verdict": "?", "checks": checks}))


def test_a_guarded_host_is_open_and_its_warning_is_told() -> None:
    answer = ask("pve1", said(GOOD, WARNED))

    assert answer.open
    assert code_of([answer]) == 0
    assert lines_of([answer]) == [
        "pve1: guarded, 2 checks",
        "  warning measured: ups1: commissioning; measure it",
    ]


def test_a_failed_check_is_told_first_with_its_remedy() -> None:
    answer = ask("pve1", said(WARNED, GOOD, SHUT, code=4))

    assert code_of([answer]) == 4
    assert lines_of([answer])[:2] == [
        "pve1: NOT GUARDED",
        "  failed  no-fsd: ups1: FSD is set; restart nut-server",
    ]


@pytest.mark.parametrize(
    ("shell", "words", "reached"),
    [
        (PaperShell(127), "apply playbooks/power.yml", True),
        (
            PaperShell(2, "", "gate: /etc/releve/power.json: is no configuration"),
            "is no conf",
            True,
        ),
        (PaperShell(1, "", "Traceback\nKeyError: 'x'"), "its gate ended with 1: KeyError", True),
        (PaperShell(0, '{"checks": []}'), "its gate ended with 0", True),
        (PaperShell(0, '{"checks": [{"id": "mode"}]}'), "its gate ended with 0", True),
        (PaperShell(0, "[]"), "its gate ended with 0", True),
        (PaperShell(255, "", "ssh: connect to host: refused"), "ssh does not reach it", False),
        (PaperShell(away=True), "no answer", False),
    ],
)
def test_who_does_not_answer_is_not_guarded(shell: PaperShell, words: str, reached: bool) -> None:
    answer = ask("nas", shell)

    assert not answer.open
    assert answer.reached is reached
    assert words in lines_of([answer])[0]


def test_a_host_that_is_away_is_asked_later_unless_another_is_not_guarded() -> None:
    open_, away = Answer("pve1", (GOOD,)), Answer("nas", error="away", reached=False)

    assert code_of([open_, away]) == 75
    assert code_of([Answer("pve1", (SHUT,)), away]) == 4
    assert document([open_, away], ["pc"])["verdict"] == "failed"
    assert document([open_], [])["verdict"] == "passed"


def test_clients_without_a_login_are_named_and_not_asked() -> None:
    town = load_town(EXAMPLE)
    asked, silent = guarded_by(town, town.ups)

    assert asked[0] == next(iter(town.ups.values())).host
    assert {*asked}.isdisjoint(silent)
    assert {*asked, *silent} == {
        host for ups in town.ups.values() for host in (ups.host, *ups.clients)
    }


@pytest.mark.parametrize("words", [["nobody"], ["--ups", "none"]])
def test_a_name_that_the_town_does_not_have_is_refused(words: list[str]) -> None:
    done = CliRunner().invoke(command, ["-i", str(EXAMPLE), *words], standalone_mode=False)

    assert isinstance(done.exception, InputError)
    assert "town.yml: " in str(done.exception)
