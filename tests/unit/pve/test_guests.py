"""A guest of the town becomes PVE's settings: same card, same firmware, cables out at first."""

from __future__ import annotations

from pathlib import Path

from releve.pve.guests import settings_of, slots_of, startup_of
from releve.town import load_town

TOWN = load_town(Path(__file__).parents[3] / "inventory" / "lab")


def test_a_new_guest_cannot_be_heard_nor_start_by_itself() -> None:
    settings = settings_of(TOWN, "compta")

    assert settings["net0"] == "virtio=52:54:00:91:00:01,bridge=br0,link_down=1"
    assert settings["onboot"] is False
    assert settings["pool"] == "services"


def test_uefi_guests_get_a_volume_for_their_variables() -> None:
    assert "efidisk0" not in settings_of(TOWN, "compta")
    assert settings_of(TOWN, "dossiers")["bios"] == "ovmf"
    assert str(settings_of(TOWN, "dossiers")["efidisk0"]).startswith("vmdata:1,")


def test_who_is_needed_starts_first_and_so_stops_last() -> None:
    assert startup_of(TOWN, "compta") == "order=1,down=15"
    assert startup_of(TOWN, "dossiers") == "order=2,down=15"


def test_disks_get_slots_of_their_bus() -> None:
    guest = TOWN.guests["compta"]
    bus = guest.disks[0]
    several = guest.model_copy(update={"disks": (bus, bus.model_copy(update={"bus": "sata"}), bus)})

    assert slots_of(several) == ["virtio0", "sata0", "virtio1"]
