"""Checks of the guest as its old host has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from releve.migrate.preflight.check import Collected, failed, passed, unknown, warning

if TYPE_CHECKING:
    from releve.migrate.preflight.check import Said
    from releve.migrate.preflight.facts import Facts, Firmware

SOURCE = Collected([])
OLDEST_QEMU = (5, 2)
IMMOVABLE = {"hostdev", "shmem", "filesystem"}
AT_REST = {"shut off", "stopped", "off"}
OURS = "releve-"
EFI_2M, EFI_4M = 131_072, 540_672
FRESH_HOURS = 24


@SOURCE.add(
    "source-reachable",
    "S1",
    "log-in to the old host by ssh",
    "look at the key and at the host's entry in known_hosts; then ssh by hand",
    must_know=True,
    fixed="nothing is known of a host that cannot be read",
)
def source_reachable(facts: Facts) -> Said:
    """The old host lets us in and answers."""
    error = facts.old.error or facts.source_error
    return failed(error) if error else passed(facts.old.host)


@SOURCE.add(
    "guest-known",
    "S1",
    "the old host's list of guests",
    "name it as the old host does (`source_name`), or it was moved: `releve migrate status`",
    fixed="there is nothing to move",
)
def guest_known(facts: Facts) -> Said:
    """The old host has a guest of this name."""
    if facts.old.error or facts.source_error:
        return unknown(f"{facts.old.host} was not read")
    if facts.source is None:
        return failed(f"{facts.seen_name}: not there")
    return passed(facts.source.uuid or facts.seen_name)


@SOURCE.add(
    "guest-works",
    "S1",
    "the guest's state at the old host",
    "start it there; one that is paused or saved holds writes that no disk has",
    at_source=True,
)
def guest_works(facts: Facts) -> Said:
    """The guest works, or rests where its source is read at rest."""
    state = facts.seen.state
    if facts.seen.running:
        return passed(state)
    if facts.seen.files and state in AT_REST:
        return passed("it rests: nobody has its files open for writing")
    if facts.seen.rung != "bitmaps" and state in AT_REST:
        return warning(f"{state}: copied as it rests")
    if state in AT_REST and facts.seen.disks:
        files = ", ".join(f"{disk.name}: {disk.file or 'no file'}" for disk in facts.seen.disks)
        return failed(
            state,
            "start it there and it moves while it works; or let it rest and give each of its disks"
            f" its `file` in town.yml ({files}): then it is copied as it lies",
        )
    return failed(state)


@SOURCE.add(
    "macs-as-listed",
    "T6",
    "the guest's definition against `guests.X.nics`",
    "survey the host again and copy what it writes into town.yml",
    at_source=True,
    fixed="a guest with another address is another machine for its network",
)
def macs_as_listed(facts: Facts) -> Said:
    """The source has just the network cards that the town file lists, in its order."""
    listed = tuple(nic.mac for nic in facts.guest.nics)
    found = tuple(mac.lower() for mac in facts.seen.macs)
    if found == listed:
        return passed(", ".join(found) or "no network card")
    said = ", ".join(found) or "none"
    return failed(f"there: {said}; town.yml: {', '.join(listed) or 'none'}")


@SOURCE.add(
    "qemu-answers",
    "S1",
    "QEMU's monitor, by `virsh qemu-monitor-command` or PVE's socket",
    "look why the monitor is mute; a guest that is off needs none",
    at_source=True,
)
def qemu_answers(facts: Facts) -> Said:
    """QEMU answers questions about the running guest."""
    if facts.seen.quiet:
        return passed(facts.seen.quiet)
    if facts.seen.monitor_error:
        return failed(facts.seen.monitor_error)
    return passed("yes") if facts.seen.qemu else unknown("no answer")


@SOURCE.add(
    "qemu-new-enough",
    "S1",
    "`query-version`",
    "a guest that is off moves without; else upgrade QEMU there and start the guest again",
    at_source=True,
)
def qemu_new_enough(facts: Facts) -> Said:
    """QEMU tracks writes by bitmaps that can be exported (5.2)."""
    if facts.seen.quiet:
        return passed(facts.seen.quiet)
    if facts.seen.qemu is None:
        return unknown("no answer of QEMU's monitor")
    text = ".".join(map(str, facts.seen.qemu))
    return passed(text) if facts.seen.qemu >= OLDEST_QEMU else failed(text)


@SOURCE.add(
    "no-saved-state",
    "S3",
    "`virsh dominfo`",
    "start it once, or give the state up: virsh managedsave-remove",
    at_source=True,
    fixed="what the guest holds in its saved memory would be lost",
)
def no_saved_state(facts: Facts) -> Said:
    """The guest's memory was not saved to a file."""
    return failed("saved") if facts.seen.saved else passed("none")


@SOURCE.add(
    "no-block-job",
    "S4",
    "`query-block-jobs`, and the lock in a guest's file of PVE",
    "wait for its end (a backup?)",
    at_source=True,
)
def no_block_job(facts: Facts) -> Said:
    """No backup or other work on the guest's disks is under way."""
    found = [*facts.seen.jobs, *([f"lock {facts.seen.lock}"] if facts.seen.lock else [])]
    if found:
        return failed(", ".join(found))
    if not facts.seen.quiet and facts.seen.qemu is None:
        return unknown("no answer of QEMU's monitor")
    return passed("none")


@SOURCE.add(
    "no-other-export",
    "S4",
    "`query-block-exports`",
    "wait for its end (a backup?)",
    at_source=True,
)
def no_other_export(facts: Facts) -> Said:
    """Nobody else reads the guest's disks over NBD."""
    others = [name for name in facts.seen.exports if not name.startswith(OURS)]
    if others:
        return failed(", ".join(others))
    if not facts.seen.quiet and facts.seen.qemu is None:
        return unknown("no answer of QEMU's monitor")
    return passed("none")


@SOURCE.add(
    "no-bound-device",
    "S7",
    "the guest's definition",
    "detach it, or move the guest by hand",
    at_source=True,
)
def no_bound_device(facts: Facts) -> Said:
    """Nothing of the old host's own hardware is passed through."""
    found = sorted(IMMOVABLE & set(facts.seen.devices))
    return failed(", ".join(found)) if found else passed("none")


@SOURCE.add(
    "firmware-variables-fit",
    "S13",
    "the file of the guest's EFI variables",
    "its boot entries and keys cannot be carried: convert the firmware to 4m at the source first",
    at_source=True,
)
def firmware_variables_fit(facts: Facts) -> Said:
    """EFI variables can be read and have the size that the node's firmware takes."""
    firmware = facts.seen.firmware
    if facts.seen.files and facts.guest.firmware == "uefi":
        return warning("files of disks hold none", "choose its boot entry anew in the firmware")
    if not facts.seen.whole:
        return unknown("this kind of source does not tell")
    if facts.guest.firmware == "bios":
        return failed(f"{firmware.file}, but town.yml says bios") if firmware else passed("BIOS")
    return _variables(firmware)


def _variables(firmware: Firmware | None) -> Said:
    if firmware is None:
        return failed("none at the source, but town.yml says uefi")
    if firmware.size is None:
        return failed(f"{firmware.file} cannot be read")
    kind = {EFI_4M: "4m", EFI_2M: "2m"}.get(firmware.size)
    if kind == "4m":
        return passed("540 672 bytes: efitype=4m")
    return failed(f"{firmware.size} bytes: {'efitype=2m' if kind else 'of no known firmware'}")


@SOURCE.add(
    "guest-agent-answers",
    "S15",
    "`guest-info` of the guest's agent",
    "install qemu-guest-agent; without it nothing is known of the inside, and the power button"
    " has to do",
    at_source=True,
)
def guest_agent_answers(facts: Facts) -> Said:
    """The guest's agent answers."""
    if facts.seen.quiet:
        return unknown(facts.seen.quiet)
    return passed("yes") if facts.seen.agent else warning("no")


@SOURCE.add(
    "power-button-works",
    "S15",
    "the guest's definition",
    "shut it down from inside at the cutover, within `stop_seconds`",
    at_source=True,
)
def power_button_works(facts: Facts) -> Said:
    """The guest has ACPI, so it hears its power button."""
    return passed("ACPI") if facts.seen.acpi else failed("no ACPI")


@SOURCE.add(
    "autostart-as-listed",
    "S16",
    "the old host's autostart flag against `guests.X.autostart`",
    "decide whether it shall start with its node, and write it into town.yml",
    at_source=True,
)
def autostart_as_listed(facts: Facts) -> Said:
    """The guest starts with its host there as it will here."""
    if facts.seen.files:
        return passed(f"as town.yml says: {'yes' if facts.guest.autostart else 'no'}")
    there, here = facts.seen.autostart, facts.guest.autostart
    words = {True: "starts with its host", False: "does not start with its host"}
    if there == here:
        return passed(words[there])
    return warning(f"there it {words[there]}, in town.yml it {words[here]}")


@SOURCE.add(
    "copy-fresh",
    "S17",
    "build/evidence/copy.json and restore.json",
    "make a copy and bring it back once; till the fence, the source itself is the way back",
)
def copy_fresh(facts: Facts) -> Said:
    """There is a copy of the guest younger than a day, and one came back once."""
    copies = facts.copies
    if copies.age_hours is None:
        return warning("no copy is known")
    said = f"{copies.age_hours:.0f} h old, {'' if copies.restored else 'never '}restored"
    return passed(said) if copies.age_hours < FRESH_HOURS and copies.restored else warning(said)
