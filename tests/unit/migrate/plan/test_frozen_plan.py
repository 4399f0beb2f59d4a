"""A plan is frozen; a run holds to it, or is refused before anything was touched."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.migrate.preflight.good import SIZE, broken, good, town

from releve.errors import InputError, RefusedError
from releve.migrate.plan import Terms, make_plan, permit, waves
from releve.migrate.plan import frozen as files
from releve.migrate.plan.show import text_of
from releve.migrate.preflight.collect_guest import questions
from releve.migrate.preflight.waive import waivers_of
from releve.migrate.runs import Orders, run_guests

if TYPE_CHECKING:
    from collections.abc import Callable

    from releve.migrate.preflight.facts import Facts

SNAPSHOT = broken("source.snapshots", ("before-update",))


def given(facts: Facts) -> Callable[[str], Facts]:
    return lambda _name: facts


def plan_of(facts: Facts, *waive: str) -> dict[str, Any]:
    return make_plan(facts.town, ["compta"], Terms(waive), gather=given(facts))[0]


def test_whoever_is_needed_is_in_an_earlier_wave() -> None:
    whole = town()
    third = whole.guests["dossiers"].model_copy(update={"needs": (), "vmid": 103})
    more = whole.model_copy(update={"guests": {"web": third, **whole.guests}})

    assert waves(more, []) == [["web", "compta"], ["dossiers"]]


def test_a_written_plan_is_read_back_and_one_that_was_altered_is_refused(tmp_path: Path) -> None:
    file = files.write(plan_of(good()), tmp_path)
    assert files.load(file)["possible"]
    assert files.newest(tmp_path) == file

    file.write_text(file.read_text().replace('"possible": true', '"possible": false', 1))

    with pytest.raises(InputError, match="changed after it was frozen"):
        files.load(file)


def test_the_hash_does_not_hang_on_the_order_of_keys() -> None:
    plan = plan_of(good())
    turned = dict(reversed(list(plan.items())))

    assert files.seal(turned)["sha256"] == plan["sha256"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 99}', "no json"])
def test_what_is_no_plan_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "plan.json"
    file.write_text(text)

    with pytest.raises(InputError, match="this is no plan"):
        files.load(file)


def test_a_plan_says_rung_downtime_and_space() -> None:
    plan = plan_of(good())
    guest = plan["guests"]["compta"]

    assert guest["rungs"]["vda"]["rung"] == "bitmaps"
    assert "QEMU 7.2" in guest["rungs"]["vda"]["why"]
    assert guest["forecast"]["downtime_seconds"] == sum(guest["forecast"]["parts"].values())
    assert guest["forecast"]["parts"]["power-off"] == 15
    assert plan["space"]["vmdata"]["needed"] == 2 * SIZE + -(-2 * SIZE // 10)


def test_a_guest_that_writes_faster_than_the_line_is_foretold_a_long_stop() -> None:
    slow = broken("path.rate", 1e6, broken("source.disks.0.written", 2_000_000))
    quiet = plan_of(good())["guests"]["compta"]["forecast"]["parts"]["last delta"]

    busy = plan_of(slow)["guests"]["compta"]["forecast"]["parts"]["last delta"]

    assert busy > 20 * quiet


def test_what_was_not_measured_is_said() -> None:
    facts = broken("path.rate", None, broken("source.disks.0.written", None))

    assumed = plan_of(facts)["guests"]["compta"]["forecast"]["assumed"]

    assert assumed == [
        "100 MiB/s from the old host to the node",
        "1 MiB/s written by the guest",
    ]


def test_a_frozen_plan_lets_the_same_move_pass() -> None:
    kept = permit(good().town, "compta", frozen=plan_of(good()), gather=given(good()))

    assert kept["waived"] == {}
    assert len(kept["plan"]) == 64


@pytest.mark.parametrize(
    ("after", "what"),
    [
        (broken("source.disks.0.layers.0.size", SIZE + (1 << 30)), "source.disks.vda.size"),
        (broken("source.uuid", "another"), "source.uuid: 6f3b -> another"),
        (broken("source.disks.0.file", "/other.raw"), "source.disks.vda.file"),
        (replace(good(), town=town(memory_mib=512)), "town.yml.guest.memory_mib: 256 -> 512"),
        (SNAPSHOT, "source.snapshots"),
    ],
)
def test_a_run_is_refused_when_what_its_plan_rests_on_has_changed(after: Facts, what: str) -> None:
    with pytest.raises(RefusedError, match="since the plan of") as refused:
        permit(after.town, "compta", frozen=plan_of(good()), gather=given(after))

    assert what in str(refused.value)


def test_a_disk_that_was_added_since_is_seen() -> None:
    more = replace(good().seen.disks[0], name="vdc", file="/new.qcow2")
    after = broken("source.disks", (*good().seen.disks, more))

    with pytest.raises(RefusedError, match=r"source\.disks\.vdc\.file: nothing -> /new\.qcow2"):
        permit(after.town, "compta", frozen=plan_of(good()), gather=given(after))


def test_a_plan_that_was_refused_permits_nothing() -> None:
    frozen = plan_of(SNAPSHOT)
    assert not frozen["possible"]

    with pytest.raises(RefusedError, match=r"this plan was refused \(no-snapshot\)"):
        permit(good().town, "compta", frozen=frozen, gather=given(good()))


def test_a_plan_without_the_guest_is_no_plan_for_it() -> None:
    with pytest.raises(RefusedError, match="does not hold it, but compta"):
        permit(good().town, "dossiers", frozen=plan_of(good()), gather=given(good()))


def test_a_waiver_of_the_plan_holds_for_the_run_and_is_told() -> None:
    frozen = plan_of(SNAPSHOT, "no-snapshot=kept until Easter, C.D.")

    kept = permit(SNAPSHOT.town, "compta", frozen=frozen, gather=given(SNAPSHOT))

    assert kept["waived"] == {"no-snapshot": "kept until Easter, C.D."}


def test_a_waiver_of_the_town_file_counts_too() -> None:
    facts = replace(SNAPSHOT, town=town(waive={"no-snapshot": "kept"}))

    assert plan_of(facts)["possible"]


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("no-snapshots=x", 'did you mean "no-snapshot"'),
        ("no-foreign-volume=x", "cannot be waived: what others made is never overwritten"),
        ("mac-free=x", "cannot be waived: two machines with one address"),
        ("no-snapshot", "needs a reason"),
        ("no-snapshot=  ", "needs a reason"),
    ],
)
def test_a_waiver_that_cannot_be_is_refused_before_any_host_is_asked(word: str, why: str) -> None:
    def nobody(_name: str) -> Facts:
        raise AssertionError

    with pytest.raises(InputError, match=why):
        make_plan(town(), ["compta"], Terms((word,)), gather=nobody)
    with pytest.raises(InputError, match=why):
        waivers_of(town(), "compta", [word])


def test_the_difference_of_two_plans_is_what_a_person_asks_for() -> None:
    lines = files.differences(plan_of(good()), plan_of(SNAPSHOT, "no-snapshot=kept"))

    assert "compta: no-snapshot: passed -> failed (before-update)" in lines
    assert "compta: no-snapshot: waived: kept" in lines
    assert files.differences(plan_of(good()), plan_of(good())) == []


def test_the_text_names_what_stands_in_the_way() -> None:
    plan, guests = make_plan(good().town, ["compta"], gather=given(SNAPSHOT))

    text = "\n".join(text_of(plan, guests))

    assert "compta: cannot move yet, old -> pve1" in text
    assert "FAIL no-snapshot: before-update  (merge or delete them" in text
    assert "guest-known" not in text


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put programs first in PATH that write down what hosts would have been told."""
    log, folder = tmp_path / "log", tmp_path / "bin"
    folder.mkdir()
    for name in ("ssh", "virsh"):
        program = folder / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> {log}\ncat >> {log}\nexit 255\n')
        program.chmod(0o755)
    log.touch()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    return log


def test_a_refused_run_touches_nothing(commands: Path) -> None:
    _evidence, results = run_guests(
        SNAPSHOT.town, ["compta"], print, Orders(gather=given(SNAPSHOT))
    )

    assert isinstance(results[0].error, RefusedError)
    assert "no-snapshot: before-update" in str(results[0].error)
    assert commands.read_text() == "", "a host was told something"
    assert Path("build/migrate/compta/journal.jsonl").read_text() == ""
    evidence = json.loads(Path("build/evidence/migrate.json").read_text())
    assert not evidence["passed"]


READS = {
    *("dumpxml", "domstate", "dominfo", "snapshot-list", "domblklist", "list", "domstats"),
}


@pytest.mark.parametrize("name", ["compta", "two words", "it's; reboot"])
def test_what_a_plan_asks_of_an_old_host_only_reads(name: str) -> None:
    for question in questions(name, sample=True).values():
        assert " > " not in question.replace(">/dev/null", "")
        for line in question.splitlines():
            if "virsh" not in line:
                continue
            words = line.partition("virsh")[2].split()
            verbs = [word for word in words if not word.startswith("-")]
            if "-r" in words[:2]:
                assert verbs[0] in READS, line
            else:
                assert verbs[0] in {"qemu-monitor-command", "qemu-agent-command"}, line
                assert '"query-' in line or "guest-" in line or '"$1"' in line, line


@pytest.mark.parametrize("name", ["two words", "it's; reboot"])
def test_a_guests_name_is_one_word_of_the_shell(name: str) -> None:
    question = questions(name, sample=False)["state"]

    assert shlex.split(question) == ["virsh", "-r", "-q", "domstate", name]
