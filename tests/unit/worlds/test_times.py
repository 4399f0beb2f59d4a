"""The times of a world are those of its one cut."""

from __future__ import annotations

from typing import Any

import pytest
from tests.worlds.times import figures_of

NAS = "198.51.100.12"
LINES: list[tuple[float, str, str, str]] = [
    (-3, "pve1", "log", "upsd: User primary@127.0.0.1 logged into UPS [ups1]"),
    (-2, "pve1", "log", f"upsd: User secondary@{NAS} logged into UPS [ups1]"),
    (-1, "pve1", "log", "nut-monitor: UPS ups1@localhost on battery"),  # a blink before
    (2, "mains", "mains-off", "mains are lost"),
    (3, "nas", "log", "nut-monitor: UPS ups1@198.51.100.11 on battery"),
    (4.5, "pve1", "log", "nut-monitor: UPS ups1@localhost on battery"),
    (20, "pve1", "log", "upsd: Client primary@127.0.0.1 set FSD on UPS [ups1]"),
    (20.5, "pve1", "log", "nut-monitor: Executing automatic power-fail shutdown"),
    (23, "nas", "down", "file systems are down"),
    (25, "pve1", "guest-stopped", "guest accueil has stopped"),
    (29, "pve1", "guest-stopped", "guest compta has stopped"),
    (30, "pve1", "down", "file systems are down"),
    (33, "ups1", "output-off", "output off: as commanded"),
    (44, "mains", "mains-on", "mains are back"),
    (51, "pve1", "log", "upsd: User primary@127.0.0.1 logged into UPS [ups1]"),
    (52.5, "pve1", "log", f"upsd: User secondary@{NAS} logged into UPS [ups1]"),
    (58, "pve1", "guest-stopped", "guest compta has stopped"),  # another day
]


def seconds(lines: list[tuple[float, str, str, str]]) -> list[float | None]:
    said: list[dict[str, Any]] = [
        dict(zip(("at", "subject", "kind", "what"), line, strict=True)) for line in lines
    ]
    return [one.seconds for one in figures_of(said)]


def test_five_figures() -> None:
    assert seconds(LINES) == [2.5, 3.0, 9.0, 4.0, 8.5]


@pytest.mark.parametrize(
    ("without", "place"),
    [("mains-off", 0), ("output-off", 3), ("mains-on", 4), (NAS, 4)],
)
def test_what_did_not_happen_is_no_number(without: str, place: int) -> None:
    kept = [one for one in LINES if without != one[2] and not (one[0] > 44 and without in one[3])]

    assert seconds(kept)[place] is None


def test_a_site_that_rides_it_out_has_no_stop() -> None:
    quiet = ("log", "down", "guest-stopped", "output-off")
    kept = [one for one in LINES if one[2] not in quiet or "on battery" in one[3]]

    assert seconds(kept) == [2.5, None, None, None, None]
