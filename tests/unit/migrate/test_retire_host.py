"""An old host is wiped of what its retired guests left there, and of nothing else."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from releve.blocks.journal import Journal
from releve.errors import RefusedError
from releve.migrate.retire_host import Leftover, keep, leftovers, wipe_line, wiping
from releve.town import Town, load_town

LAB = Path(__file__).parents[3] / "inventory" / "lab"


@pytest.fixture
def town() -> Town:
    return load_town(LAB)


def moved(folder: Path, guest: str, file: str, *events: str) -> None:
    journal = Journal(folder / guest / "journal.jsonl")
    journal.add("run-began", run="r1")
    for event in events:
        journal.add(event, disks=[{"name": "vda", "file": file}])
    journal.close()


def test_only_disks_of_retired_guests_are_named(town: Town, tmp_path: Path) -> None:
    moved(tmp_path, "compta", "/img/compta.raw", "moved", "audited", "retired")
    moved(tmp_path, "dossiers", "/img/d.qcow2", "moved", "audited", "retired")
    moved(tmp_path, "stranger", "/img/stranger.raw", "retired")

    found = leftovers(town, "old", "old", tmp_path)

    assert [one.file for one in found] == ["/img/compta.raw", "/img/d.qcow2"]


@pytest.mark.parametrize("stage", [(), ("moved",), ("moved", "audited"), ("rolled-back",)])
def test_nothing_is_wiped_while_one_guest_has_its_way_back(
    town: Town, tmp_path: Path, stage: tuple[str, ...]
) -> None:
    moved(tmp_path, "compta", "/img/compta.raw", "retired")
    moved(tmp_path, "dossiers", "/img/d.qcow2", *stage)

    with pytest.raises(RefusedError, match=r"dossiers is .*, not retired"):
        leftovers(town, "old", "old", tmp_path)


def test_the_hosts_name_must_be_typed(town: Town, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="--data confirm=old"):
        leftovers(town, "old", "olde", tmp_path)


def test_a_disk_is_overwritten_and_its_record_kept(tmp_path: Path) -> None:
    disk = tmp_path / "a b.raw"
    disk.write_bytes(b"secret" * 1000)
    beside = tmp_path / "other"
    beside.hardlink_to(disk)  # shows what became of the bytes
    one = Leftover("compta", "vda", str(disk))

    said = subprocess.run(["sh", "-c", wipe_line(one)], capture_output=True, text=True, check=True)
    record = wiping("old", one, said.stdout.splitlines())

    assert record is not None
    assert (record.bytes, record.file) == (6000, str(disk))
    assert not disk.exists()
    assert beside.read_bytes() == bytes(6000)
    keep(tmp_path / "records" / "old.jsonl", record)
    kept = json.loads((tmp_path / "records" / "old.jsonl").read_text())
    assert {"serial", "method", "at"} <= kept.keys()


def test_a_disk_that_is_gone_has_no_second_record(tmp_path: Path) -> None:
    one = Leftover("compta", "vda", str(tmp_path / "gone"))
    said = subprocess.run(["sh", "-c", wipe_line(one)], capture_output=True, text=True, check=True)

    assert wiping("old", one, said.stdout.splitlines()) is None


def test_silence_is_no_wiping() -> None:
    with pytest.raises(RefusedError, match="was not wiped"):
        wiping("old", Leftover("compta", "vda", "/x"), [])
