"""What PVE lets no token set is refused to one, and root sets it at the node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from releve.lab.pve import guestfile
from releve.lab.pve.place import Place
from releve.lab.pve.refusal import Refusal
from releve.lab.pve.rights import Rights
from releve.lab.pve.settings import check_rights
from releve.lab.pve.tools import qm
from releve.pve.guests import by_root, by_token

if TYPE_CHECKING:
    from pathlib import Path

GENERATION = "11111111-2222-4333-8444-555555555555"
SETTINGS = {"name": "compta", "startup": "order=1,down=15", "vmgenid": GENERATION}


def rights(path: str, *privileges: str) -> Rights:
    acl = [{"path": path, "roleid": "R", "ugid": "a@pve", "propagate": 1}]
    content = {"users": {}, "tokens": {}, "pools": {}, "roles": {"R": list(privileges)}, "acl": acl}
    return Rights(content, "a@pve")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path, "pve1")
    place.prepare()
    guestfile.write(place, 101, {"name": "compta", "onboot": "0"})
    return place


def test_the_order_of_starts_wants_a_right_on_the_whole_host() -> None:
    check_rights(rights("/", "Sys.Modify", "VM.Config.Options"), 101, "", ["startup"])

    with pytest.raises(Refusal, match=r"Permission check failed \(/, Sys.Modify\)"):
        check_rights(rights("/vms", "VM.Config.Options"), 101, "", ["startup"])


def test_root_sets_at_the_node_what_the_token_does_not(place: Place) -> None:
    line = by_root(101, SETTINGS)

    qm(place, line.split()[1:])

    assert by_token(SETTINGS) == {"name": "compta"}
    assert guestfile.read(place, 101) == {**SETTINGS, "onboot": "0"}


def test_nothing_for_root_is_no_line() -> None:
    assert by_root(101, {"name": "compta"}) == ""


@pytest.mark.parametrize(
    "words",
    [["--startup", "first"], ["--unheard", "1"], ["--memory", "512"], ["--startup"]],
    ids=["malformed", "unknown", "not for root alone", "without a value"],
)
def test_a_wrong_setting_changes_nothing(place: Place, words: list[str]) -> None:
    with pytest.raises(Refusal):
        qm(place, ["set", "101", *words])

    assert guestfile.read(place, 101) == {"name": "compta", "onboot": "0"}


def test_a_lock_of_root_holds_until_root_takes_it_away(place: Place) -> None:
    qm(place, by_root(101, {"startup": "order=1"}, "migrate").split()[1:])
    assert guestfile.read(place, 101)["lock"] == "migrate"

    for words in (["start", "101"], ["set", "101", "--virtio0", "vmdata:101/vm-101-disk-0.raw"]):
        with pytest.raises(Refusal, match=r"VM is locked \(migrate\)"):
            qm(place, words)
    qm(place, by_root(101, {"startup": "order=2"}, "migrate").split()[1:])
    qm(place, ["unlock", "101"])

    assert guestfile.read(place, 101) == {"name": "compta", "onboot": "0", "startup": "order=2"}


def test_a_locked_guest_is_left_alone(place: Place) -> None:
    guestfile.write(place, 101, {"name": "compta", "lock": "backup"})

    with pytest.raises(Refusal, match="locked"):
        qm(place, ["set", "101", "--startup", "order=1"])
