"""Rights add up as on PVE: nearest path, pools, and tokens that have less than their user."""

from __future__ import annotations

from typing import Any

import pytest

from releve.lab.pve.rights import Rights

READ, POWER = "VM.Audit", "VM.PowerMgmt"


def config(*entries: tuple[str, str, str], **more: Any) -> dict[str, Any]:
    """Return a configuration with these entries (path, role, who), all of which propagate."""
    acl = [
        {"path": path, "roleid": role, "ugid": who, "propagate": 1} for path, role, who in entries
    ]
    roles = {"Read": [READ], "Both": [READ, POWER]}
    return {"users": {}, "tokens": {}, "pools": {}, "roles": roles, "acl": acl} | more


def test_the_nearest_entry_wins() -> None:
    rights = Rights(config(("/", "Both", "a@pve"), ("/vms", "Read", "a@pve")), "a@pve")

    assert rights.on("/vms/101") == {READ}
    assert rights.on("/nodes") == {READ, POWER}


def test_an_entry_that_does_not_propagate_stays_where_it_is() -> None:
    content = config(("/vms", "Read", "a@pve"))
    content["acl"][0]["propagate"] = 0

    assert Rights(content, "a@pve").on("/vms") == {READ}
    assert not Rights(content, "a@pve").on("/vms/101")


def test_members_of_a_pool_have_its_rights() -> None:
    pools = {"services": {"vms": [101], "storage": ["vmdata"]}}
    rights = Rights(config(("/pool/services", "Read", "a@pve"), pools=pools), "a@pve")

    assert rights.on("/vms/101") == {READ}
    assert rights.on("/storage/vmdata") == {READ}
    assert not rights.on("/vms/102")


@pytest.mark.parametrize(
    ("entries", "privsep", "held"),
    [
        ([("/vms", "Both", "a@pve")], 1, set()),
        ([("/vms", "Both", "a@pve"), ("/vms", "Read", "a@pve!t")], 1, {READ}),
        ([("/vms", "Read", "a@pve"), ("/vms", "Both", "a@pve!t")], 1, {READ}),
        ([("/vms", "Both", "a@pve")], 0, {READ, POWER}),
    ],
    ids=["none of its own", "fewer", "more than its user", "not separate"],
)
def test_a_token_never_has_more_than_its_user(
    entries: list[tuple[str, str, str]], privsep: int, held: set[str]
) -> None:
    content = config(*entries, tokens={"a@pve!t": {"privsep": privsep, "expire": 0}})

    assert Rights(content, "a@pve!t").on("/vms/101") == held


def test_a_token_of_root_is_not_root() -> None:
    content = config(tokens={"root@pam!t": {"privsep": 0, "expire": 0}})

    assert Rights(content, "root@pam").root
    assert not Rights(content, "root@pam!t").root
    assert Rights(content, "root@pam!t").has("/vms/1", POWER)
