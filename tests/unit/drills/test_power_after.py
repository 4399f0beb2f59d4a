"""A flag that a drill left is named before somebody reboots the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from releve.drills.evidence import Evidence
from releve.drills.power_after import ASKED, judge_flags
from releve.drills.ups_host import UpsHost
from releve.ssh import Ssh

if TYPE_CHECKING:
    from pathlib import Path


class Host(Ssh):
    """This machine, with an upsmon and flags of a folder's own (the address)."""

    __slots__ = ()

    def argv(self, *command: str) -> list[str]:
        (text,) = command
        there = self.address
        text = text.replace("/etc/", f"{there}/").replace("/run/nut/", f"{there}/run-")
        return ["sh", "-c", f"PATH={there}:$PATH; {text}"]


class Away(Ssh):
    """A host that does not answer."""

    __slots__ = ()

    def argv(self, *command: str) -> list[str]:
        return ["sh", "-c", f"echo no route >&2; exit 255 # {len(command)}"]


def judged(tmp_path: Path, host: Ssh) -> tuple[bool, str]:
    evidence = Evidence("power-2", tmp_path)
    judge_flags({"pve1": UpsHost(host)}, evidence)
    (check,) = evidence.checks
    assert check.id == "pve1.no-flag"
    return check.passed, check.note


def upsmon(folder: Path, code: int) -> Host:
    program = folder / "upsmon"
    program.write_text(f'#!/bin/sh\n[ "$*" = -K ] && exit {code}\nexit 99\n')
    program.chmod(0o755)
    return Host("pve1", str(folder), "", ())


def test_a_host_without_a_flag_passes(tmp_path: Path) -> None:
    assert "upsmon -K" in ASKED
    assert judged(tmp_path, upsmon(tmp_path, 1)) == (True, "")


def test_a_flag_that_the_hook_would_heed_is_named(tmp_path: Path) -> None:
    passed, note = judged(tmp_path, upsmon(tmp_path, 0))

    assert not passed
    assert note == "upsmon -K says yes: remove it before this host is rebooted"


@pytest.mark.parametrize("name", ["killpower", "run-killpower"])
def test_a_flag_of_another_configuration_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    passed, note = judged(tmp_path, upsmon(tmp_path, 1))

    assert not passed
    assert "killpower is there: remove it" in note


def test_a_host_that_does_not_answer_is_no_proof(tmp_path: Path) -> None:
    passed, note = judged(tmp_path, Away("pve1", "", "", ()))

    assert not passed
    assert note == "pve1 does not say whether it has a kill-power flag (exit 255: no route)"
