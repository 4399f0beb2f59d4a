"""A move ends whole, whatever dies where; and from every stage there is a way back."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import random
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.unit.migrate.migrate_rig import BLOCKS, Killed, Rig, World, rig

from releve.blocks.errors import MonitorError
from releve.command import CommandError
from releve.errors import InputError, LaterError, RefusedError
from releve.migrate import patience
from releve.migrate.copying import Copying
from releve.migrate.errors import GateError, MigrateError, PowerButtonError, WorkerError
from releve.migrate.patience import Patience
from releve.migrate.plan.terms import Window
from releve.migrate.retire import refuse_retirement, retire
from releve.migrate.rollback import loss, roll_back

if TYPE_CHECKING:
    from pathlib import Path

    from releve.migrate.sources.base import Rung

NOON = datetime.datetime(2026, 11, 28, 12, tzinfo=datetime.UTC)


def end(one: Rig) -> Rig:
    """Close a controller: alive or not, its lock is gone and the old host notices."""
    one.record.close()
    one.world.controller_died()
    return one


def killed_at(world: World, folder: Path, number: int) -> bool:
    """Run a move whose controller dies at an event; say whether it came so far."""
    one = rig(world, folder, dies_at=number)
    try:
        one.go_on()
    except Killed:
        return True
    finally:
        end(one)
    return False


def events_of(folder: Path) -> int:
    """Return how many events a whole move has."""
    one = rig(World(), folder)
    one.go_on()
    end(one)
    return len(one.record.events)


def finished(world: World) -> None:
    """Check that a guest moved whole, and works in one place."""
    assert world.target == world.at_stop == world.source
    assert world.target_on
    assert not world.source_on
    assert not world.defined


def test_a_move_reads_no_whole_disk_between_power_off_and_start(tmp_path: Path) -> None:
    world = World()
    one = rig(world, tmp_path)

    one.go_on()

    finished(world)
    names = [event["event"] for event in one.record.events]
    assert names.index("target-read") < names.index("power-button")
    assert names.index("target-started") < names.index("audit-began")
    assert one.record.stage == "audited"


def test_a_controller_killed_anywhere_costs_nothing(tmp_path: Path) -> None:
    for number in range(1, events_of(tmp_path / "whole") + 1):
        world, folder = World(), tmp_path / str(number)
        assert killed_at(world, folder, number), number

        one = rig(world, folder)
        one.go_on()
        end(one)

        finished(world)
        assert one.record.stage == "audited", number


def test_two_kills_anywhere_cost_nothing(tmp_path: Path) -> None:
    count = events_of(tmp_path / "whole")
    chance = random.Random(3)  # noqa: S311  # no secret
    for number in range(20):
        first, second = chance.choices(range(1, count), k=2)
        world, folder = World(), tmp_path / str(number)
        killed_at(world, folder, first)
        killed_at(world, folder, second)

        one = rig(world, folder)
        one.go_on()
        end(one)

        finished(world)


def test_from_every_stage_there_is_a_way_back(tmp_path: Path) -> None:
    for number in range(1, events_of(tmp_path / "whole") + 1):
        world, folder = World(), tmp_path / str(number)
        killed_at(world, folder, number)

        one = rig(world, folder)
        roll_back(one)
        end(one)

        assert world.source_on, number
        assert world.defined
        assert not world.target_on
        assert not world.plugged
        assert world.locked or not world.target_run, "an old copy can be started"
        assert one.record.stage == "rolled-back"


def test_a_rollback_killed_anywhere_is_ended_by_the_next(tmp_path: Path) -> None:
    for number in range(1, 5):
        world, folder = World(), tmp_path / str(number)
        first = rig(world, folder)
        first.go_on()
        end(first)
        again = rig(world, folder, dies_at=number)
        with contextlib.suppress(Killed):
            roll_back(again)
        end(again)

        one = rig(world, folder)
        if one.record.stage == "rolling-back":
            with pytest.raises(RefusedError, match="rollback was begun"):
                one.go_on()
            roll_back(one)
        end(one)

        assert world.source_on
        assert not world.target_on


def test_after_a_rollback_a_guest_moves_again(tmp_path: Path) -> None:
    world = World()
    first = rig(world, tmp_path)
    first.go_on()
    roll_back(first)
    end(first)

    again = rig(world, tmp_path)
    again.go_on()

    finished(world)
    assert again.record.run != first.record.run or again.record.events != first.record.events


@pytest.mark.parametrize("watched", [False, True], ids=["stays off", "started by its host"])
@pytest.mark.parametrize("verb", ["seed", "round"])
def test_a_source_whose_qemu_dies_is_compared_and_goes_on_by_itself(
    tmp_path: Path, verb: str, watched: bool
) -> None:
    world = World(dies_in=verb, watched=watched)
    said: list[str] = []

    rig(world, tmp_path, said=said).go_on()

    finished(world)
    state = "started again" if watched else "shut off"
    wanted = f"(it is {state}): it goes on by comparing hashes, no data is lost"
    assert sum(wanted in line for line in said) == 1


def test_a_source_whose_qemu_dies_while_a_run_waits_is_compared_too(tmp_path: Path) -> None:
    world = World()
    one = rig(world, tmp_path, patience=Patience(wait=True))
    one.record.begin()
    copying = Copying(one)
    guest = copying.do()
    world.dies_in = "round"

    again = copying._while_waiting(guest, copying.round)  # it would take a minute

    assert again.id == world.boots == 2
    assert world.verbs[-4:-2] == ["round vda", "round vdb"]
    assert "delta vda" in world.verbs


def test_a_worker_that_fails_while_its_source_works_ends_the_run(tmp_path: Path) -> None:
    world = World(flips_in="verify")
    one = rig(world, tmp_path)
    one.record.begin()

    with pytest.raises(WorkerError):
        Copying(one).do()

    assert one.record.last("source-lost") is None


@pytest.mark.parametrize("silent", [False, True], ids=["its host answers", "its host does not"])
def test_a_source_that_hangs_ends_the_run_with_the_workers_own_sentence(
    tmp_path: Path, silent: bool
) -> None:
    world = World()
    one = rig(world, tmp_path)
    look = one.source.look

    class Hung:
        def do(self, verb: str, _feed: object = None, **_options: str) -> object:
            def withdraw(_disk: str) -> None:
                message = "compta: query-block-exports: no end after 60 s"
                raise MonitorError(message)

            def no_look() -> object:
                raise CommandError(["ssh", "old"], "no end after 60 s")

            one.source.withdraw = withdraw
            one.source.look = no_look if silent else look
            message = f"pve1: {verb} of vda: no answer for 60 s"
            raise WorkerError(message, "stall")

    one.worker = lambda disk: cast("Any", Hung())  # type: ignore[method-assign]
    with pytest.raises(WorkerError, match="seed of vda: no answer for 60 s"):
        one.go_on()

    assert world.source_on
    assert world.boots == 1
    assert one.record.stage == "began"


def test_a_copy_without_its_manifest_is_copied_anew_by_itself(tmp_path: Path) -> None:
    """As after a kill between the first bitmap and the first block, when the bitmap is lost too."""
    world = World()
    one = rig(world, tmp_path)
    worker = one.worker
    missing = ["delta"]

    class Lost:
        def __init__(self, disk: str) -> None:
            self.disk = disk

        def do(self, verb: str, feed: object = None, **options: str) -> object:
            if verb in missing:
                missing.clear()
                message = "manifest: no such file"
                raise WorkerError(message, "manifest")
            return worker(self.disk).do(verb, feed, **options)  # type: ignore[arg-type]

    one.worker = lambda disk: cast("Any", Lost(disk))  # type: ignore[method-assign]
    one.record.begin()
    one.record.note("epoch-began", number=1, afresh=True)
    world.bitmaps = {}

    one.go_on()

    finished(world)
    assert missing == []


def test_a_source_that_dies_after_the_power_off_works_again(tmp_path: Path) -> None:
    world = World()
    one = rig(world, tmp_path)
    power_off = one.source.power_off

    def dies(seconds: int) -> None:
        power_off(seconds)
        world.dies_in = "round"

    one.source.power_off = dies
    with pytest.raises(MigrateError, match="goes on at its source"):
        one.go_on()

    assert world.source_on
    assert not world.target_on
    one.source.power_off = power_off
    one.go_on()
    finished(world)


def test_a_byte_that_changes_on_the_target_is_found_before_the_stop(tmp_path: Path) -> None:
    world = World(flips_in="verify")
    one = rig(world, tmp_path)

    with pytest.raises(WorkerError):
        one.go_on()

    assert world.source_on
    assert one.record.last("power-button") is None
    one.go_on()
    finished(world)
    assert world.verbs.count("seed vda") == 2, "what was found wrong was believed again"


def test_a_write_that_was_missed_is_found_by_the_audit_and_named_with_its_way_back(
    tmp_path: Path,
) -> None:
    world = World()
    one = rig(world, tmp_path)
    at_rest = one.source.at_rest

    def other(mark: dict[str, object]) -> None:
        at_rest(mark)
        world.source["vdb"][0] += 1

    one.source.at_rest = other
    with pytest.raises(MigrateError, match=r"WRONG DATA.*releve migrate rollback compta"):
        one.go_on()

    assert one.record.stage == "moved"
    with pytest.raises(RefusedError, match="not audited"):
        refuse_retirement("compta", one.record, 0, NOON)


def test_a_guest_that_ignores_its_power_button_goes_on_and_keeps_its_copy(tmp_path: Path) -> None:
    world = World(deaf=True)
    one = rig(world, tmp_path)
    with pytest.raises(PowerButtonError):
        one.go_on()
    assert world.source_on

    world.deaf = False
    one.go_on()

    finished(world)
    assert world.verbs.count("seed vda") == 1


def test_a_disk_that_was_added_begins_anew(tmp_path: Path) -> None:
    world = World()
    killed_at(world, tmp_path, 6)
    world.source["vdc"] = [9] * BLOCKS
    said: list[str] = []

    rig(world, tmp_path, said=said).go_on()

    finished(world)
    assert any("disk vdc was added; everything is copied anew" in line for line in said)


def test_a_disk_that_is_added_after_the_copy_stops_the_cutover(tmp_path: Path) -> None:
    world = World()

    class Adds(list[str]):
        def append(self, line: str) -> None:
            if "reading the target back" in line:
                world.source["vdc"] = [9] * BLOCKS

    with pytest.raises(MigrateError, match=r"disk vdc .* is not what was copied"):
        rig(world, tmp_path, said=Adds()).go_on()

    assert world.source_on
    assert not world.target_on
    assert world.at_stop == {}


@pytest.mark.parametrize("rung", ["hash-delta", "cold"])
def test_a_source_without_bitmaps_is_compared_after_the_stop(tmp_path: Path, rung: Rung) -> None:
    world = World()
    one = rig(world, tmp_path, rung=rung)

    one.go_on()

    finished(world)
    names = [event["event"] for event in one.record.events]
    assert "round-began" not in names
    assert "delta vda" in world.verbs


def test_what_only_a_person_can_start_is_given_back_with_what_to_start(tmp_path: Path) -> None:
    world = World(source_on=False)
    said: list[str] = []
    one = rig(world, tmp_path, rung="hash-delta", said=said)
    one.source.start = lambda: "start it yourself: /a.vmdk"

    one.go_on()
    roll_back(one)

    assert (one.record.last("guest-off") or {})["unheard"]
    assert not world.target_on
    assert not world.source_on
    assert said[-1] == "compta: start it yourself: /a.vmdk"


def test_a_cutover_that_fails_says_what_a_person_has_to_start(tmp_path: Path) -> None:
    world = World(source_on=False)
    one = rig(world, tmp_path, rung="hash-delta")
    one.source.start = lambda: "start it yourself: /a.vmdk"

    def changed() -> None:
        message = "/a.vmdk has changed"
        raise MigrateError(message)

    one.source.release = changed
    with pytest.raises(MigrateError, match=r"changed; compta is not started: start it yourself"):
        one.go_on()


def test_a_second_controller_is_refused(tmp_path: Path) -> None:
    first = rig(World(), tmp_path)

    with pytest.raises(LaterError, match="another run"):
        rig(World(), tmp_path)
    end(first)


def test_a_target_that_does_not_run_any_more_is_named_with_what_to_do(tmp_path: Path) -> None:
    world = World()
    one = rig(world, tmp_path)
    one.go_on()
    world.target_on = False  # the node lost its power

    with pytest.raises(GateError, match=r"moved to pve1 at .* does not run there.*qm start 101"):
        one.go_on()

    assert not world.source_on


def test_a_node_that_loses_power_before_the_gates_starts_its_guest_again(tmp_path: Path) -> None:
    for number in itertools.count(1):
        world, folder = World(), tmp_path / str(number)
        killed_at(world, folder, number)
        if world.target_on:
            break
    world.target_on = False

    rig(world, folder).go_on()

    finished(world)


def test_a_rollback_never_starts_the_source_while_the_node_is_silent(tmp_path: Path) -> None:
    world = World()
    one = rig(world, tmp_path)
    one.go_on()
    world.node_answers = False

    with pytest.raises(RefusedError, match="--node-is-dead pve1"):
        roll_back(one)
    assert not world.source_on

    world.target_on = False  # somebody cut its power
    roll_back(one, node_is_dead=True)
    assert world.source_on


def test_a_loss_is_said_in_seconds(tmp_path: Path) -> None:
    one = rig(World(), tmp_path)
    assert "never worked" in loss(one.town, "compta", one.record)

    one.go_on()

    assert "s on the target will be lost" in loss(one.town, "compta", one.record)


def test_a_run_waits_for_its_word(tmp_path: Path) -> None:
    world = World()
    one = rig(world, tmp_path, patience=Patience(wait=True))
    patience.tell(one.record.folder)

    one.go_on()

    finished(world)
    assert not patience.told(one.record.folder), "the word was meant for one cutover"


def test_an_hour_opens_the_window(tmp_path: Path) -> None:
    hour = Patience(at=NOON)

    assert not hour.over(tmp_path, NOON - datetime.timedelta(seconds=1))
    assert hour.over(tmp_path, NOON)
    assert not Patience(wait=True, at=NOON).over(tmp_path, NOON)
    assert Patience().over(tmp_path, NOON)


def test_a_guest_that_missed_its_window_works_on_at_its_source(tmp_path: Path) -> None:
    world = World()
    over = Window(NOON.replace(year=2020), NOON.replace(year=2020, hour=13))
    one = rig(world, tmp_path, patience=Patience(window=over))
    patience.tell(one.record.folder)

    with pytest.raises(LaterError, match="the window of its plan is over"):
        one.go_on()

    assert world.source_on
    assert not world.target_on
    assert one.record.stage == "seeded", "its copy is kept"


def test_a_guest_retires_after_its_soak_and_not_before(tmp_path: Path) -> None:
    one = rig(World(), tmp_path)
    one.go_on()
    moved = datetime.datetime.fromisoformat(one.record.last("moved")["at"])  # type: ignore[index]

    with pytest.raises(RefusedError, match="soak ends at"):
        refuse_retirement("compta", one.record, 7, moved + datetime.timedelta(days=6))
    refuse_retirement("compta", one.record, 7, moved + datetime.timedelta(days=8))
    retire(one.record)

    assert [disk["file"] for disk in one.record.last("retired")["disks"]] == ["/vda", "/vdb"]  # type: ignore[index]
    with pytest.raises(RefusedError, match="was retired"):
        roll_back(one)


def test_nothing_is_rolled_back_before_anything_began(tmp_path: Path) -> None:
    one = rig(World(), tmp_path)

    with pytest.raises(InputError, match="nothing to roll back"):
        roll_back(one)
