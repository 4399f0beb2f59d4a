"""How a disk is read follows from what was seen, and so does the downtime."""

from __future__ import annotations

from dataclasses import replace

import pytest

from releve.migrate.sources.rungs import DiskFacts, Rates, downtime_of, guest_downtime, rung_of

GIB = 1 << 30
WARM = DiskFacts(running=True, size=100 * GIB, data=40 * GIB, qemu=(4, 0), monitor=True)


@pytest.mark.parametrize(
    ("facts", "rung", "why"),
    [
        (WARM, "bitmaps", "QEMU 4.0 records"),
        (replace(WARM, qemu=(3, 1)), "cold", "QEMU 3.1 offers no dirty bitmap (from 4.0 on)"),
        (replace(WARM, monitor=False), "cold", "monitor does not answer"),
        (replace(WARM, qemu=(3, 1), frozen="lvm"), "hash-delta", "frozen of it (lvm)"),
        (replace(WARM, qemu=None), "cold", "no QEMU that records writes"),
        (replace(WARM, running=False), "hash-delta", "it is off"),
        (replace(WARM, running=False, qemu=None), "hash-delta", "it is off"),
    ],
)
def test_the_best_rung_that_the_source_allows_is_taken(
    facts: DiskFacts, rung: str, why: str
) -> None:
    found, reason = rung_of(facts)

    assert found == rung
    assert why in reason


def test_a_warm_downtime_does_not_grow_with_the_disk() -> None:
    small, large = (downtime_of(replace(WARM, size=n * GIB, data=n * GIB)) for n in (1, 1000))

    assert small.seconds == large.seconds


def test_a_host_that_hashes_by_itself_spares_the_line() -> None:
    rates = Rates(line=10e6, disk=200e6, source=200e6)
    off = replace(WARM, running=False, flat=True, tools=True)

    there, here = downtime_of(off, rates), downtime_of(replace(off, tools=False), rates)

    assert there.seconds == pytest.approx(2 + 100 * GIB / 200e6 + (16 << 20) / 10e6)
    assert here.seconds == pytest.approx(2 + 40 * GIB / 10e6)


def test_a_format_that_only_qemu_can_read_is_not_hashed_by_its_host() -> None:
    packed = replace(WARM, running=False, flat=False, tools=True)

    assert "over the line" in downtime_of(packed).why


def test_disks_of_a_guest_wait_for_each_other() -> None:
    cold = replace(WARM, qemu=None)
    one = downtime_of(cold).seconds

    assert guest_downtime([cold, cold]) == pytest.approx(2 * one - 2)
