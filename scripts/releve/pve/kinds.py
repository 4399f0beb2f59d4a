"""The kinds of objects that the town keeps in PVE: one row each, and no code of their own.

What PVE does to each on reading and writing was measured on its real API (docs/decisions/0501).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Fields = dict[str, object]


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind is listed, compared and written."""

    collection: str
    key: str
    # How a field is taken away: by PVE's `delete=`, or by an empty value.
    unset: Literal["delete", "empty"] = "delete"
    # Compared as sets: PVE writes them in another order each time.
    sets: frozenset[str] = frozenset()
    # Strings of key=value, in any order.
    properties: frozenset[str] = frozenset()
    # Cannot be changed; another value is a conflict, never a removal and a new object.
    fixed: frozenset[str] = frozenset()
    # PVE empties these when a change leaves them out.
    resend: frozenset[str] = frozenset()
    # What PVE shows when nothing was said.
    defaults: Mapping[str, object] = field(default_factory=dict)
    # Who may see an object: one of these privileges on this path. Without it, a list that lacks
    # the object proves nothing.
    seen_at: str = "/"
    seen_by: tuple[str, ...] = ()


KINDS: dict[str, Kind] = {
    "role": Kind(
        "/access/roles",
        "roleid",
        unset="empty",
        sets=frozenset({"privs"}),
        resend=frozenset({"privs"}),
    ),
    "user": Kind(
        "/access/users",
        "userid",
        unset="empty",
        defaults={"enable": 1, "expire": 0},
        seen_at="/access/groups",
        seen_by=("User.Modify", "Sys.Audit"),
    ),
    "token": Kind(
        "/access/users/{user}/token",
        "tokenid",
        defaults={"privsep": 1, "expire": 0},
        seen_at="/access/groups",
        seen_by=("User.Modify",),
    ),
    "pool": Kind(
        "/pools",
        "poolid",
        unset="empty",
        seen_at="/pool/{id}",
        seen_by=("Pool.Audit", "Pool.Allocate"),
    ),
    "storage": Kind(
        "/storage",
        "storage",
        sets=frozenset({"content", "nodes"}),
        properties=frozenset({"prune-backups"}),
        fixed=frozenset({"type", "path"}),
        defaults={"disable": 0, "shared": 0},
        seen_at="/storage/{id}",
        seen_by=("Datastore.Audit", "Datastore.AllocateSpace", "Datastore.Allocate"),
    ),
    "acl": Kind(
        "/access/acl",
        "acl",
        sets=frozenset({"roles"}),
        defaults={"propagate": 1},
        seen_at="/access",
        seen_by=("Sys.Audit", "Permissions.Modify"),
    ),
}
# The order in which objects are made, so that whatever one names is there; removal is backwards.
ORDER = tuple(KINDS)
