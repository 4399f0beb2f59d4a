"""Image files of stopped guests move through the whole engine: what people can always export.

The tests of this file are one story and run in its order.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.scenario import shelf, watch
from tests.scenario.stage import provision, tell

from releve.lab.run import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.scenario.beside import Beside

    from releve.lab.topology import Lab

pytestmark = pytest.mark.lab
MIB = 1 << 20
PATIENCE = 60
COMPARES = "^/usr/bin/python3 /usr/local/lib/releve/blocks.pyz delta"
FENCED = ("chain.qcow2", "split.vmdk", "archives.ova")
ALTER = f"qemu-io -f vmdk -c 'write -q -P 171 150M 8M' {shelf.FOLDER}/permis.vmdk"


@pytest.fixture(scope="module")
def town(lab: Lab) -> Iterator[Beside]:
    """Give the shelf with its guests, beside the lab's provisioned node."""
    if not Path("/dev/fuse").exists():
        pytest.skip("no FUSE in this machine's kernel: nothing can be mounted by sshfs")
    provision(lab)
    made = shelf.make(lab, tell)
    made.lab.ask("population", PATIENCE)
    yield made
    shelf.clear(made)


@contextlib.contextmanager
def moving(town: Beside, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Let a move go on beside the test."""
    program = shutil.which("releve", path=environment(town.lab)["PATH"])
    with subprocess.Popen(
        town.lab.workstation([str(program), "migrate", "run", *words]), cwd=town.folder,
        env=environment(town.lab), stdout=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def events(town: Beside, name: str) -> list[dict[str, Any]]:
    file = shelf.journal(town, name)
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line) for line in lines]


def await_event(town: Beside, name: str, event: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not any(one["event"] == event for one in events(town, name)):
        assert process.poll() is None, "the move ended"
        assert time.monotonic() < deadline, f"no event {event}"
        time.sleep(0.1)


def check(town: Beside, id_: str) -> dict[str, Any]:
    """Return one check of the last run's evidence."""
    return next(one for one in town.evidence("migrate")["checks"] if one["id"] == id_)


def volumes(town: Beside, name: str) -> list[str]:
    """Return the SHA-256 of each volume of a guest on the node, by the node's own tools."""
    folder = f"/srv/vmdata/images/{town.lab.town.guests[name].vmid}"
    said = watch.console(town.lab, "pve1", f"sha256sum {folder}/vm-*-disk-?.raw")
    return [line.split()[0] for line in said.splitlines()]


def names(town: Beside) -> list[str]:
    return shelf.console(town.lab, f"ls {shelf.FOLDER}").split()


def test_a_plan_says_how_each_disk_is_read_and_what_that_costs(town: Beside) -> None:
    shelf.console(town.lab, f"cd {shelf.FOLDER}; cp --sparse=always population.raw population.copy")

    said = town.do("releve", "migrate", "plan", "population", "permis", "--json", "--probe", "0")

    plan = json.loads(said[said.index("{") : said.rindex("}") + 1])["guests"]
    rungs = {name: [*guest["rungs"].values()] for name, guest in plan.items()}
    assert {rung["rung"] for guest in rungs.values() for rung in guest} == {"hash-delta"}
    assert f"frozen of it ({shelf.FOLDER}/population.copy)" in rungs["population"][0]["why"]
    assert "its host hashes 192 MiB itself" in rungs["population"][0]["downtime"]
    assert "is read over the line once" in rungs["permis"][0]["downtime"]
    for guest in plan.values():
        dark = {one["id"] for one in guest["checks"] if one["verdict"] == "cannot-know"}
        assert not dark & {"disk-sizes-as-listed", "backing-chain-whole", "qemu-answers"}


def test_a_guest_is_copied_while_it_works_from_what_is_frozen(town: Beside) -> None:
    with moving(town, "population", "--wait") as run:
        await_event(town, "population", "waits", run)
        before = town.lab.ask("population")
        too_early = town.do("releve", "migrate", "run", "population", code=75)
        shelf.stop_at_source(town)
        town.do("releve", "migrate", "cutover", "population", "--now")
        assert run.wait(timeout=120) == 0

    assert "another run is at work" in too_early
    assert town.failed("migrate") == set()
    crossed = check(town, "population.bytes-at-cutover")
    assert "hashed at shelf: vda" in crossed["note"]
    assert 0 < crossed["value"] < 16 * MIB
    after = watch.chain(town.lab, "population")
    assert after["chain"] == "whole"
    assert after["newest"] > before.newest
    assert after["unclean"] == before.unclean
    assert "moved-by-releve.population.raw" in names(town)


def test_files_that_change_after_the_stop_are_refused(town: Beside) -> None:
    """After a comparison that was killed, which has copied nothing yet."""
    with moving(town, "permis", "--wait") as run:
        await_event(town, "permis", "waits", run)
    shelf.console(town.lab, ALTER)
    with moving(town, "permis", "--bandwidth", "1") as run:
        while town.lab.console("pve1", ["pgrep", "-f", COMPARES], check=False).returncode:
            assert run.poll() is None, "the move ended"
        run.kill()
        town.lab.console("pve1", ["pkill", "-9", "-f", COMPARES])
    restless = f"while [ -e /run/restless ]; do touch -h {shelf.FOLDER}/permis.vmdk; done"
    shelf.console(town.lab, f"touch /run/restless; nohup sh -c '{restless}' >/dev/null 2>&1 &")

    said = town.do("releve", "migrate", "run", "permis", code=1)

    shelf.console(town.lab, "rm /run/restless")
    assert re.search(r"permis\.vmdk has changed since; .* permis is not started: start it", said)
    assert "permis.vmdk" in names(town)


def test_a_comparison_copies_what_differs_and_nothing_twice(town: Beside) -> None:
    town.do("releve", "migrate", "run", "permis")

    assert town.failed("migrate") == set()
    read = [one["read"] for one in events(town, "permis") if one["event"] == "seeded"]
    assert 8 * MIB <= read[1] < 9 * MIB < read[0]
    assert read[2:] == [0]
    assert watch.chain(town.lab, "permis")["chain"] == "whole"


def test_a_way_back_gives_the_files_their_names_and_says_what_to_start(town: Beside) -> None:
    assert "permis.vmdk" not in names(town)

    said = town.do("releve", "migrate", "rollback", "permis", "--yes")

    told = "start it yourself, where it ran: its files are at shelf as they were"
    assert f"permis: {told}: {shelf.FOLDER}/permis.vmdk" in said
    assert "permis.vmdk" in names(town)
    assert not [name for name in names(town) if name.startswith("moved-by-releve.permis")]


def test_a_disk_of_hyper_v_moves_and_a_second_run_finds_it_moved(town: Beside) -> None:
    town.do("releve", "migrate", "run", "cadastre")

    assert town.failed("migrate") == set()
    assert watch.chain(town.lab, "cadastre")["chain"] == "whole"
    assert "it answers" in town.do("releve", "migrate", "run", "cadastre")


def test_each_format_of_a_disk_is_the_same_volume(town: Beside) -> None:
    whole = shelf.hash_of(town, "raw", "archives.raw")

    town.do("releve", "migrate", "run", "archives", "--hold")

    assert town.failed("migrate") == set()
    assert volumes(town, "archives") == [whole] * len(shelf.FORMATS)
    assert check(town, "archives.bytes-at-cutover")["note"] == "hashed at shelf: sdb"
    fenced = {name for name in names(town) if name.startswith("moved-by-releve.")}
    assert fenced >= {f"moved-by-releve.{name}" for name in FENCED}
