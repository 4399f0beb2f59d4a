"""`releve migrate prepare` reaches the guest, and the plan knows what was seen inside."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from tests.unit.migrate.preflight.good import LAB, good, town
from tests.unit.migrate.preflight.test_checks import other_bus, said
from tests.unit.migrate.prepare_tree import Guest, guest_in

from releve.cli import cli
from releve.errors import ExitCode, InputError, RefusedError, ReleveError
from releve.migrate.plan import make_plan, permit
from releve.migrate.preflight.check import Verdict
from releve.migrate.prepare import SCRIPT, kept, pasted, prepare
from releve.town.check import cross_check

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from releve.town import Town

SAID = """\
changed /etc/fstab: 1 devices by UUID
good fstab-by-uuid: / UUID=6f-1
left network-names-fixed: ens3 and ens4
good boot-driver-ready: virtio_pci for kernel 6.1
changed 1, left 1
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def reached(login: str) -> Town:
    return town(login=login)


@pytest.mark.parametrize(
    ("login", "words", "shell"),
    [("root", [], "sh -s --"), ("admin", ["--check"], "sudo -n sh -s -- --check")],
)
def test_the_script_goes_in_by_ssh(login: str, words: list[str], shell: str) -> None:
    seen: list[tuple[Sequence[str], str]] = []

    def execute(argv: Sequence[str], script: str) -> tuple[int, str]:
        seen.append((argv, script))
        return 4, SAID

    found = prepare(reached(login), "compta", words, execute)

    ((argv, script),) = seen
    address = reached(login).guests["compta"].nics[0].address
    assert argv[-2:] == [f"{login}@{address}", shell]
    assert "StrictHostKeyChecking=yes" in argv
    assert script == SCRIPT.read_text()
    assert found.code is ExitCode.CHECK_FAILED
    assert set(found.good) == {"fstab-by-uuid", "boot-driver-ready"}


def test_what_was_seen_inside_is_known_to_the_plan_until_it_is_undone() -> None:
    prepare(reached("root"), "compta", [], lambda _argv, _script: (4, SAID))
    facts = replace(other_bus(good(), inside=None), prepared=kept("compta"))

    assert said(replace(facts, prepared={}), "boot-driver-ready").verdict is Verdict.UNKNOWN
    for id_ in ("boot-driver-ready", "fstab-by-uuid"):
        assert said(facts, id_).verdict is Verdict.PASSED
        assert "seen inside, 20" in said(facts, id_).value
    assert said(facts, "network-names-fixed").verdict is Verdict.UNKNOWN

    prepare(reached("root"), "compta", ["--undo"], lambda _a, _s: (0, "changed 1, left 0\n"))
    assert kept("compta") == {}


@pytest.mark.parametrize(
    ("code", "text"), [(1, "failed: this needs root\n"), (0, "changed /etc/fs"), (137, SAID)]
)
def test_a_script_that_did_not_come_to_its_end_is_an_error(code: int, text: str) -> None:
    with pytest.raises(ReleveError, match="compta: preparing it failed"):
        prepare(reached("root"), "compta", [], lambda _argv, _script: (code, text))

    assert kept("compta") == {}


def test_without_a_login_the_way_is_named() -> None:
    with pytest.raises(InputError, match=r"guests\.compta\.login: is missing.* --print"):
        prepare(town(), "compta")


def test_a_login_needs_an_address() -> None:
    nics = tuple(nic.model_copy(update={"address": None}) for nic in good().guest.nics)

    faults = dict(cross_check(town(login="root", nics=nics, witness=None)))

    assert "needs a first network card" in faults["guests", "compta", "login"]


def test_what_is_printed_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    guest = guest_in(tmp_path)
    before = guest.tree()
    printed = CliRunner().invoke(cli, ["migrate", "prepare", "compta", "--print", "--check"])

    done = subprocess.run(
        ["sh"], input=printed.output, text=True, capture_output=True, timeout=60, check=False,
        cwd=tmp_path, env={"ROOT": str(guest.root), "PATH": f"{guest.programs}:/usr/bin:/bin"},
    )  # fmt: skip

    assert printed.output == pasted(["--check"])
    assert (tmp_path / "prepare.sh").read_text() == SCRIPT.read_text()
    assert done.stdout.endswith("changed 0, left 0\n"), done.stderr
    assert guest.tree() == before


def test_a_windows_is_told_where_to_read(tmp_path: Path) -> None:
    text = (LAB / "town.yml").read_text().replace("  compta:\n", "  compta:\n    os: win10\n", 1)
    (tmp_path / "town.yml").write_text(text)

    done = CliRunner().invoke(cli, ["-i", str(tmp_path), "migrate", "prepare", "compta"])

    assert isinstance(done.exception, InputError)
    assert "it is a Windows" in str(done.exception)


def test_a_prepared_guest_may_change_its_bus() -> None:
    facts = other_bus(good())
    assert not make_plan(facts.town, ["compta"], gather=lambda _name: facts)[0]["possible"]

    ready = dict.fromkeys(("boot-driver-ready", "fstab-by-uuid"), "x")
    prepared = replace(facts, prepared=ready)
    stops = [
        check["id"]
        for check in make_plan(facts.town, ["compta"], gather=lambda _name: prepared)[0]["guests"][
            "compta"
        ]["checks"]
        if check["stops"]
    ]
    assert "boot-driver-ready" not in stops


@pytest.mark.parametrize("bus", ["scsi", "virtio"])
def test_a_guest_that_boots_by_names_is_refused_until_it_was_prepared(
    tmp_path: Path, bus: str
) -> None:
    fstab = "/dev/sda1 /boot/efi vfat\n/dev/sda2 /boot ext4\nUUID=r3 / ext4\n"
    files = {"/etc/fstab": fstab, "/proc/cmdline": "root=/dev/sda3 ro"}
    inside = replace(
        good().seen.inside, files=files, uuids={f"/dev/sda{n}": f"u{n}" for n in (1, 2, 3)}
    )  # type: ignore[type-var]
    disks = tuple(disk.model_copy(update={"bus": bus}) for disk in good().guest.disks)
    before = other_bus(good(), inside=inside)
    before = replace(before, town=town(login="root", disks=disks))

    result = said(before, "fstab-by-uuid")
    assert result.verdict is Verdict.FAILED
    for number, file in ((1, "/etc/fstab"), (2, "/etc/fstab"), (3, "/proc/cmdline")):
        assert f"{file}: /dev/sda{number} (UUID=u{number})" in result.value
    assert "`releve migrate prepare compta` writes the UUIDs" in result.remedy
    with pytest.raises(RefusedError, match="fstab-by-uuid"):
        permit(before.town, "compta", gather=lambda _name: before)

    guest = guest_in(tmp_path)
    guest.write("/etc/fstab", fstab)
    guest.write("proc/cmdline", files["/proc/cmdline"])
    for number in (1, 2, 3):
        guest.disk(f"/dev/sda{number}", f"u{number}")
    prepare(before.town, "compta", [], lambda _argv, _script: _result(guest))
    assert kept("compta").get("fstab-by-uuid") is None, "the boot loader still says a name"

    guest.write("proc/cmdline", "root=UUID=r3 ro")
    prepare(before.town, "compta", [], lambda _argv, _script: _result(guest))
    after = replace(before, prepared=kept("compta"))
    assert said(after, "fstab-by-uuid").verdict is Verdict.PASSED
    assert "/boot/efi UUID=u1, /boot UUID=u2" in said(after, "fstab-by-uuid").value


def _result(guest: Guest) -> tuple[int, str]:
    code, lines = guest.run()
    return code, "\n".join(lines) + "\n"
