"""Who may do what: users, tokens, roles and ACL entries, and what they add up to on a path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .place import read_json, write_json
from .privileges import BUILT_IN, PRIVILEGES
from .refusal import denied

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .place import Place

ROOT = "root@pam"
EMPTY: dict[str, Any] = {
    "users": {ROOT: {"enable": 1}},
    "tokens": {},
    "roles": {},
    "acl": [],
    "pools": {},
}


def load(place: Place) -> dict[str, Any]:
    """Return users, tokens, roles, ACL and pools (the double's user.cfg)."""
    return read_json(place.config / "user.json", EMPTY)


def save(place: Place, content: dict[str, Any]) -> None:
    """Write users, tokens, roles, ACL and pools."""
    content["users"][ROOT].setdefault("expire", 0)
    write_json(place.config / "user.json", content)


def owner_of(caller: str) -> str:
    """Return the user of `user` or of `user!token`."""
    return caller.partition("!")[0]


class Rights:
    """The rights of one caller, as the configuration stands when this is made."""

    def __init__(self, config: dict[str, Any], caller: str) -> None:
        """Keep whose rights are asked for; `caller` is `user@realm` or `user@realm!token`."""
        self.config = config
        self.caller = caller

    @property
    def root(self) -> bool:
        """Whether this is root's own ticket; a token of root is not root."""
        return self.caller == ROOT

    def on(self, path: str) -> frozenset[str]:
        """Return the privileges on a path."""
        return self._of(self.caller, path)

    def has(self, path: str, *privileges: str, every: bool = False) -> bool:
        """Say whether one (or every one) of the privileges is there."""
        held = self.on(path)
        return held.issuperset(privileges) if every else not held.isdisjoint(privileges)

    def need(self, path: str, *privileges: str, every: bool = False) -> None:
        """Raise PVE's refusal when none (or not every one) of the privileges is there."""
        if not self.has(path, *privileges, every=every):
            raise denied(path, *privileges, every=every)

    def need_on_guest(self, vmid: int, pool: str, *privileges: str, every: bool = True) -> None:
        """Raise unless the privileges are there on the guest, or on the pool it will be in."""
        if pool and self.has(f"/pool/{pool}", *privileges, every=every):
            return
        self.need(f"/vms/{vmid}", *privileges, every=every)

    def _of(self, caller: str, path: str) -> frozenset[str]:
        owner, _, token = caller.partition("!")
        if not token:
            return PRIVILEGES if owner == ROOT else self._granted(caller, path)
        separated = int(self.config["tokens"].get(caller, {}).get("privsep", 1))
        whole = self._of(owner, path)
        return whole & self._granted(caller, path) if separated else whole

    def _granted(self, caller: str, path: str) -> frozenset[str]:
        roles = self._roles(caller, path)
        for pool, members in self.config["pools"].items():
            if path in _member_paths(members) and "NoAccess" not in roles:
                roles = roles | self._roles(caller, f"/pool/{pool}")
        if "NoAccess" in roles:
            return frozenset()
        known = BUILT_IN | {
            name: frozenset(privileges) for name, privileges in self.config["roles"].items()
        }
        return frozenset().union(*(known.get(role, frozenset()) for role in roles))

    def _roles(self, caller: str, path: str) -> frozenset[str]:
        """Return the roles at a path: the nearest entry wins over those above it."""
        found: frozenset[str] = frozenset()
        for above in _above(path):
            here = [
                entry["roleid"]
                for entry in self.config["acl"]
                if entry["path"] == above
                and entry["ugid"] == caller
                and (above == path or entry["propagate"])
            ]
            if here:
                found = frozenset(here)
        return found


def _above(path: str) -> list[str]:
    words = [word for word in path.split("/") if word]
    return ["/"] + ["/" + "/".join(words[: count + 1]) for count in range(len(words))]


def _member_paths(members: dict[str, Any]) -> Iterable[str]:
    yield from (f"/vms/{vmid}" for vmid in members["vms"])
    yield from (f"/storage/{storage}" for storage in members["storage"])
