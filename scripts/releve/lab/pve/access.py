"""Roles, users, tokens and access control entries."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

from .api import Call, Endpoint, need
from .formats import split_list
from .parameters import flag, number, text
from .privileges import BUILT_IN
from .refusal import Refusal, bad, denied, fault
from .rights import ROOT, load, save
from .secretfile import save_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .place import Place

REALMS = {"pam", "pve"}
ROLE = text("pve-roleid", required=True)
USER = text("pve-userid", required=True, max_length=64)
USER_FIELDS = {
    "comment": text(max_length=2048),
    "email": text("email-opt", max_length=254),
    "enable": flag(),
    "expire": number(0),
    "firstname": text(max_length=1024),
    "lastname": text(max_length=1024),
}
TOP_PATHS = ("/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms")
KINDS_OF_PATH = (
    (r"/", "Permissions.Modify"),
    (r"/access(/(groups|realm)(/.+)?)?", "Permissions.Modify"),
    (r"/nodes(/[^/]+)?", "Permissions.Modify"),
    (r"/pool(/.+)?", "Pool.Allocate"),
    (r"/sdn(/zones(/[^/]+(/[^/]+)?)?)?", "SDN.Allocate"),
    (r"/storage(/[^/]+)?", "Datastore.Allocate"),
    (r"/vms(/\d+)?", "VM.Allocate"),
    (r"/mapping(/.+)?", "Mapping.Modify"),
)


@contextlib.contextmanager
def changed(place: Place, failure: str = "") -> Iterator[dict[str, Any]]:
    """Give the configuration to change and save it; faults get PVE's prefix `failure: `."""
    with place.locked("user.cfg"):
        content = load(place)
        try:
            yield content
        except Refusal as refusal:
            if failure and refusal.status == 500:  # noqa: PLR2004  # the status PVE's faults have
                raise fault(f"{failure}: {refusal.message}") from refusal
            raise
        save(place, content)


def list_roles(call: Call) -> list[dict[str, Any]]:
    """Return all roles, to anybody."""
    own = load(call.double.place)["roles"]
    return [
        {"roleid": name, "privs": ",".join(sorted(held)), "special": int(name in BUILT_IN)}
        for name, held in (BUILT_IN | own).items()
    ]


def get_role(call: Call) -> dict[str, int]:
    """Return the privileges of one role."""
    name = call.values["roleid"]
    known = BUILT_IN | load(call.double.place)["roles"]
    if name not in known:
        raise fault(f"role '{name}' does not exist")
    return dict.fromkeys(known[name], 1)


def create_role(call: Call) -> None:
    """Make a role."""
    name = call.values["roleid"]
    if name.lower().startswith("pve"):
        message = "cannot use role ID starting with the (case-insensitive) 'PVE' namespace"
        raise bad({"roleid": message})
    with changed(call.double.place, "create role failed") as content:
        if name in content["roles"] or name in BUILT_IN:
            raise fault(f"role '{name}' already exists")
        content["roles"][name] = sorted(set(split_list(call.values.get("privs", ""))))


def update_role(call: Call) -> None:
    """Replace a role's privileges, with none when none are sent (as PVE does)."""
    name = call.values["roleid"]
    if name in BUILT_IN:
        raise fault(f"auto-generated role '{name}' cannot be modified")
    with changed(call.double.place, "update role failed") as content:
        if name not in content["roles"]:
            raise fault(f"role '{name}' does not exist")
        wanted = set(split_list(call.values.get("privs", "")))
        if call.values.get("append"):
            wanted |= set(content["roles"][name])
        content["roles"][name] = sorted(wanted)


def delete_role(call: Call) -> None:
    """Remove a role and the entries that use it."""
    name = call.values["roleid"]
    if name in BUILT_IN:
        raise fault(f"auto-generated role '{name}' cannot be deleted")
    with changed(call.double.place, "delete role failed") as content:
        if content["roles"].pop(name, None) is None:
            raise fault(f"role '{name}' does not exist")
        content["acl"] = [entry for entry in content["acl"] if entry["roleid"] != name]


def tokens_listed(content: dict[str, Any], user: str) -> list[dict[str, Any]]:
    """Return a user's tokens without their secrets."""
    return [
        {"tokenid": full.partition("!")[2], **info}
        for full, info in content["tokens"].items()
        if full.startswith(f"{user}!")
    ]


def list_users(call: Call) -> list[dict[str, Any]]:
    """Return the users that the caller may see."""
    content, rights = load(call.double.place), call.rights
    rows = []
    for name, user in content["users"].items():
        seen = rights.has("/access/groups", "User.Modify", "Sys.Audit")
        if not seen and name != call.caller:
            continue
        realm = name.rpartition("@")[2]
        row = {"userid": name, **user}
        row |= {"realm-type": realm} if realm in REALMS else {}
        if call.values.get("full"):
            row |= {
                "expire": user.get("expire", 0),
                "groups": "",
                "tokens": tokens_listed(content, name) or None,
            }
        if user["enable"] or not call.values.get("enabled"):
            rows.append(row)
    return rows


def user_of(content: dict[str, Any], name: str) -> dict[str, Any]:
    """Return one user's fields or refuse in PVE's words."""
    if name not in content["users"]:
        raise fault(f"no such user ('{name}')")
    user: dict[str, Any] = content["users"][name]
    return user


def get_user(call: Call) -> dict[str, Any]:
    """Return one user."""
    content, name = load(call.double.place), call.values["userid"]
    tokens = {
        full.partition("!")[2]: info
        for full, info in content["tokens"].items()
        if full.startswith(f"{name}!")
    }
    return {"expire": 0, **user_of(content, name), "groups": [], "tokens": tokens or None}


def create_user(call: Call) -> None:
    """Make a user; an unknown realm is accepted, as PVE does."""
    name = call.values["userid"]
    with changed(call.double.place, "create user failed") as content:
        if name in content["users"]:
            raise fault(f"user '{name}' already exists")
        fields = {key: value for key, value in call.values.items() if key in USER_FIELDS}
        user = {key: value for key, value in fields.items() if value != "" or key == "email"}
        content["users"][name] = {"enable": 1, "expire": 0} | user


def update_user(call: Call) -> None:
    """Change a user; an empty string removes a field."""
    with changed(call.double.place, "update user failed") as content:
        user = user_of(content, call.values["userid"])
        for key in USER_FIELDS.keys() & call.values.keys():
            user[key] = call.values[key]
            if user[key] == "":
                del user[key]


def delete_user(call: Call) -> None:
    """Remove a user, its tokens and its entries; a missing one is no fault."""
    name = call.values["userid"]
    with changed(call.double.place, "delete user failed") as content:
        if name != ROOT:
            content["users"].pop(name, None)
        gone = [full for full in content["tokens"] if full.startswith(f"{name}!")]
        for full in gone:
            del content["tokens"][full]
            save_secret(call.double.place, full, None)
        ended = {name, *gone}
        content["acl"] = [entry for entry in content["acl"] if entry["ugid"] not in ended]


def list_acl(call: Call) -> list[dict[str, Any]]:
    """Return the entries on paths whose rights the caller may see."""
    rights = call.rights
    return [
        entry
        for entry in load(call.double.place)["acl"]
        if rights.has("/access", "Sys.Audit", "Permissions.Modify")
        or rights.has(entry["path"], "Permissions.Modify")
    ]


def permissions(call: Call) -> dict[str, dict[str, int]]:
    """Return the caller's privileges on one path, or on all that have entries."""
    asked = call.values.get("path")
    entries = [entry["path"] for entry in load(call.double.place)["acl"]]
    paths = [_clean(asked)] if asked else ["/", *TOP_PATHS, *entries]
    held = {path: dict.fromkeys(call.rights.on(path), 1) for path in paths}
    return {path: privileges for path, privileges in held.items() if privileges}


def _clean(path: str) -> str:
    return "/" + "/".join(word for word in path.split("/") if word)


def _check_acl(call: Call) -> None:
    path = _clean(call.said("path"))
    extra = next((own for form, own in KINDS_OF_PATH if re.fullmatch(form, path)), "")
    wanted = dict.fromkeys(("Permissions.Modify", extra or "Permissions.Modify"))
    call.rights.need(path, *wanted)


def update_acl(call: Call) -> None:
    """Add or remove entries; both are idempotent, and `propagate` turns on the same entry."""
    path = _clean(call.values["path"])
    if not any(re.fullmatch(form, path) for form, _own in KINDS_OF_PATH):
        raise bad({"path": f"invalid ACL path '{call.values['path']}'"})
    whom = {kind: split_list(call.values.get(f"{kind}s", "")) for kind in ("user", "token")}
    if not any(whom.values()):
        message = "either 'users', 'groups' or 'tokens' is required."
        raise bad(dict.fromkeys(("users", "groups", "tokens"), message))
    with changed(call.double.place, "ACL update failed") as content:
        for role in split_list(call.values["roles"]):
            if role not in BUILT_IN and role not in content["roles"]:
                raise fault(f"role '{role}' does not exist")
            for kind, names in whom.items():
                for name in names:
                    _known(content, kind, name)
                    _put_entry(content, call, path, (role, kind, name))


def _known(content: dict[str, Any], kind: str, name: str) -> None:
    user, _, token = name.partition("!")
    if user not in content["users"]:
        raise fault(f"user '{user}' does not exist")
    if kind == "token" and name not in content["tokens"]:
        raise fault(f"no such token '{token}' for user '{user}'")


def _put_entry(content: dict[str, Any], call: Call, path: str, entry: tuple[str, str, str]) -> None:
    role, kind, name = entry
    same = {"path": path, "roleid": role, "type": kind, "ugid": name}
    content["acl"] = [old for old in content["acl"] if not same.items() <= old.items()]
    if not call.values.get("delete"):
        content["acl"].append(same | {"propagate": call.values.get("propagate", 1)})


def _check_user_creation(call: Call) -> None:
    call.rights.need(
        f"/access/realm/{call.said('userid').rpartition('@')[2]}", "Realm.AllocateUser"
    )
    call.rights.need("/access/groups", "User.Modify")


def check_user(*privileges: str, mine: bool = False) -> Callable[[Call], None]:
    """Return a check for a right on users, which (with `mine`) nobody needs on himself."""

    def check(call: Call) -> None:
        if mine and call.said("userid") == call.caller:
            return
        if not call.rights.has("/access/groups", *privileges):
            raise denied()

    return check


_modify = need("/access", "Sys.Modify")
_USER = {"userid": USER}
_PRIVS = {"privs": text("pve-priv-list")}
_ONE = "/access/users/{userid}"
ENDPOINTS = (
    Endpoint("GET", "/access/roles", {}, list_roles),
    Endpoint("POST", "/access/roles", {"roleid": ROLE, **_PRIVS}, create_role, _modify),
    Endpoint("GET", "/access/roles/{roleid}", {"roleid": ROLE}, get_role),
    Endpoint(
        "PUT",
        "/access/roles/{roleid}",
        {"roleid": ROLE, "append": flag(requires="privs"), **_PRIVS},
        update_role,
        _modify,
    ),
    Endpoint("DELETE", "/access/roles/{roleid}", {"roleid": ROLE}, delete_role, _modify),
    Endpoint("GET", "/access/users", {"enabled": flag(), "full": flag()}, list_users),
    Endpoint("POST", "/access/users", _USER | USER_FIELDS, create_user, _check_user_creation),
    Endpoint("GET", _ONE, _USER, get_user, check_user("User.Modify", "Sys.Audit", mine=True)),
    Endpoint("PUT", _ONE, _USER | USER_FIELDS, update_user, check_user("User.Modify")),
    Endpoint("DELETE", _ONE, _USER, delete_user, _check_user_creation),
    Endpoint("GET", "/access/acl", {}, list_acl),
    Endpoint("GET", "/access/permissions", {"path": text()}, permissions),
    Endpoint(
        "PUT",
        "/access/acl",
        {
            "path": text(required=True),
            "roles": text("pve-roleid-list", required=True),
            "users": text("pve-userid-list"),
            "tokens": text("pve-tokenid-list"),
            "propagate": flag(),
            "delete": flag(),
        },
        update_acl,
        _check_acl,
    ),
)
