"""Read and write PVE's objects: the only place of the engine with effects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from releve.pve.client import PveError
from releve.pve.kinds import KINDS, ORDER, Fields, Kind
from releve.pve.reconcile import (
    KEPT,
    LOST,
    SECRET,
    SPLIT,
    UNREADABLE,
    Action,
    AsIs,
    Seen,
    Step,
    ToBe,
    normal,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

FORBIDDEN = 403
NOTHING_THERE = 500


class Api(Protocol):
    """What the engine asks of a client."""

    def ask(self, method: str, path: str, parameters: dict[str, object]) -> Any:  # noqa: ANN401
        """Send one request; raises PveError."""


class Secrets(Protocol):
    """Where tokens' secrets are kept."""

    def works(self, token_id: str) -> bool:
        """Say whether the secret is there and PVE accepts it."""

    def keep(self, token_id: str, secret: str) -> None:
        """Keep a secret that PVE has just told."""


def read(api: Api, secrets: Secrets, to_be: ToBe) -> AsIs:
    """Return what PVE has of the named objects: fields, None, or UNREADABLE."""
    as_is: AsIs = {}
    for kind in ORDER:
        if kind not in to_be:
            continue
        listed = _listed(api, kind, to_be[kind])
        as_is[kind] = {
            name: listed[name] if name in listed else _missing(api, kind, name)
            for name in to_be[kind]
        }
    for name, fields in as_is.get("token", {}).items():
        if isinstance(fields, dict):
            as_is["token"][name] = fields | {SECRET: KEPT if secrets.works(name) else LOST}
    return as_is


def _listed(api: Api, kind: str, names: Iterable[str]) -> dict[str, Fields]:
    if kind == "token":
        return _tokens(api, names)
    try:
        rows = api.ask("GET", KINDS[kind].collection, {}) or []
    except PveError as error:
        if error.status == FORBIDDEN:
            return {}
        raise
    if kind == "acl":
        return _entries(rows)
    return {str(row[KINDS[kind].key]): dict(row) for row in rows}


def _tokens(api: Api, names: Iterable[str]) -> dict[str, Fields]:
    found: dict[str, Fields] = {}
    for user in dict.fromkeys(name.partition("!")[0] for name in names):
        try:
            rows = api.ask("GET", KINDS["token"].collection.format(user=user), {}) or []
        except PveError as error:
            # A user who is not there yet has no tokens; PVE says so with a 500.
            if error.status in {FORBIDDEN, NOTHING_THERE}:
                continue
            raise
        found |= {f"{user}!{row['tokenid']}": dict(row) for row in rows}
    return found


def _entries(rows: list[dict[str, Any]]) -> dict[str, Fields]:
    """Gather the roles of one user or token on one path: that is one object here."""
    found: dict[str, Fields] = {}
    for row in rows:
        entry = found.setdefault(f"{row['path']} {row['ugid']}", {"roles": "", "propagate": 1})
        entry["roles"] = f"{entry['roles']},{row['roleid']}".strip(",")
        entry["propagate"] = min(int(str(entry["propagate"])), int(row["propagate"]))
    return found


def _missing(api: Api, kind: str, name: str) -> Seen:
    """Return None when the object is not there, UNREADABLE when the caller could not see it."""
    about = KINDS[kind]
    if not about.seen_by:
        return None
    path = about.seen_at.format(id=name)
    held = api.ask("GET", "/access/permissions", {"path": path}) or {}
    return None if set(about.seen_by) & set(held.get(path, {})) else UNREADABLE


def apply(api: Api, secrets: Secrets, step: Step) -> None:
    """Do one step; raises PveError in PVE's words."""
    if step.kind == "acl":
        _apply_entry(api, step)
        return
    about = KINDS[step.kind]
    collection, name = about.collection, step.id
    if step.kind == "token":
        user, _, name = step.id.partition("!")
        collection = collection.format(user=user)
    if step.action == Action.DELETE:
        api.ask("DELETE", f"{collection}/{name}", {})
        return
    sent = _parameters(about, step)
    if step.kind == "token":
        _apply_token(api, secrets, step, f"{collection}/{name}", sent)
    elif step.action == Action.CREATE:
        api.ask("POST", collection, {about.key: name, **sent})
    else:
        api.ask("PUT", f"{collection}/{name}", sent)


def _apply_token(
    api: Api, secrets: Secrets, step: Step, path: str, sent: dict[str, object]
) -> None:
    lost = any(change.field == SECRET for change in step.changes)
    if step.action == Action.CREATE:
        answer = api.ask("POST", path, sent)
    else:
        answer = api.ask("PUT", path, sent | ({"regenerate": 1} if lost else {}))
    if "value" in answer:
        secrets.keep(step.id, str(answer["value"]))


def _parameters(about: Kind, step: Step) -> dict[str, object]:
    """Return what to send: what changes, what PVE would otherwise empty, what goes away."""
    wanted = dict(step.wanted)
    changed = {change.field: change.after for change in step.changes if change.field != SECRET}
    sent: dict[str, object] = {
        key: _wire(about, key, wanted[key]) for key, after in changed.items() if after is not None
    }
    for key in about.resend - sent.keys():
        sent[key] = _wire(about, key, wanted.get(key, dict(step.found).get(key, "")))
    gone = [key for key, after in changed.items() if after is None]
    if gone and step.action == Action.UPDATE:
        if about.unset == "delete":
            sent["delete"] = ",".join(gone)
        else:
            sent |= {key: about.defaults.get(key, "") for key in gone}
    return sent


def _wire(about: Kind, key: str, value: object) -> object:
    if key in about.sets | about.properties:
        return normal(about, key, value) or ""
    return value


def _apply_entry(api: Api, step: Step) -> None:
    path, _, who = step.id.rpartition(" ")
    side = "tokens" if "!" in who else "users"
    wanted, found = dict(step.wanted), dict(step.found)
    roles = _roles(wanted)
    if roles:
        propagate = int(bool(wanted.get("propagate", 1)))
        sent = {"path": path, side: who, "roles": ",".join(sorted(roles)), "propagate": propagate}
        api.ask("PUT", "/access/acl", sent)
    extra = _roles(found) - roles
    if extra:
        sent = {"path": path, side: who, "roles": ",".join(sorted(extra)), "delete": 1}
        api.ask("PUT", "/access/acl", sent)


def _roles(fields: Fields) -> set[str]:
    held = normal(KINDS["acl"], "roles", fields.get("roles"))
    return set(SPLIT.split(held)) if held else set()
