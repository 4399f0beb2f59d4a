"""Roles, users, tokens and access control entries."""

from __future__ import annotations

import contextlib
import re
import uuid
from typing import TYPE_CHECKING, Any

from .api import Call, Endpoint, need
from .formats import split_list
from .parameters import flag, number, text
from .place import read_json, write_json
from .privileges import BUILT_IN
from .refusal import Refusal, bad, denied, fault
from .rights import ROOT, load, save

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .place import Place

REALMS = {"pam", "pve"}
ROLE = text("pve-roleid", required=True)
USER = text("pve-userid", required=True, max_length=64)
TOKEN = text(required=True, pattern=r"[A-Za-z][A-Za-z0-9.\-_]+")
USER_FIELDS = {
    "comment": text(max_length=2048),
    "email": text("email-opt", max_length=254),
    "enable": flag(),
    "expire": number(0),
    "firstname": text(max_length=1024),
    "lastname": text(max_length=1024),
}
TOKEN_FIELDS = {"comment": text(), "expire": number(0), "privsep": flag()}
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


def token_secrets(place: Place) -> dict[str, str]:
    """Return token -> secret."""
    return {key: str(value) for key, value in read_json(place.secrets / "token.json", {}).items()}


def _save_secret(place: Place, token: str, secret: str | None) -> None:
    content = token_secrets(place)
    content.pop(token, None)
    if secret is not None:
        content[token] = secret
    write_json(place.secrets / "token.json", content, 0o600)


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
            row |= {"groups": "", "tokens": _tokens_listed(content, name) or None}
        if user["enable"] or not call.values.get("enabled"):
            rows.append(row)
    return rows


def _user(content: dict[str, Any], name: str) -> dict[str, Any]:
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
    return {**_user(content, name), "groups": [], "tokens": tokens or None}


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
        user = _user(content, call.values["userid"])
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
            _save_secret(call.double.place, full, None)
        ended = {name, *gone}
        content["acl"] = [entry for entry in content["acl"] if entry["ugid"] not in ended]


def _tokens_listed(content: dict[str, Any], user: str) -> list[dict[str, Any]]:
    return [
        {"tokenid": full.partition("!")[2], **info}
        for full, info in content["tokens"].items()
        if full.startswith(f"{user}!")
    ]


def list_tokens(call: Call) -> list[dict[str, Any]]:
    """Return the tokens of a user."""
    content = load(call.double.place)
    _user(content, call.values["userid"])
    return _tokens_listed(content, call.values["userid"])


def _token(content: dict[str, Any], call: Call) -> tuple[str, dict[str, Any]]:
    name, token = call.values["userid"], call.values["tokenid"]
    full = f"{name}!{token}"
    if full not in content["tokens"]:
        raise fault(f"no such token '{token}' for user '{name}'")
    return full, content["tokens"][full]


def get_token(call: Call) -> dict[str, Any]:
    """Return one token, without its secret."""
    return dict(_token(load(call.double.place), call)[1])


def create_token(call: Call) -> dict[str, Any]:
    """Make a token; the only answer that ever holds its secret."""
    name, token = call.values["userid"], call.values["tokenid"]
    full, secret = f"{name}!{token}", str(uuid.uuid4())
    info = {key: value for key, value in call.values.items() if key in TOKEN_FIELDS}
    with changed(call.double.place) as content:
        _user(content, name)
        if full in content["tokens"]:
            raise bad({"tokenid": "Token already exists."})
        content["tokens"][full] = {"privsep": 1, "expire": 0} | info
        _save_secret(call.double.place, full, secret)
    # PVE gives back what was sent, as it was sent: text, also where the value is a number.
    said = {key: str(value) for key, value in info.items()}
    return {"full-tokenid": full, "value": secret, "info": {"privsep": 1} | said}


def update_token(call: Call) -> dict[str, Any]:
    """Change a token; a key that is set and deleted at once is deleted."""
    removed = split_list(call.values.get("delete", ""))
    for key in removed:
        if key not in TOKEN_FIELDS:
            wrong = f"400 Parameter verification failed.\ndelete: unknown option '{key}'"
            raise fault(f"updating token info failed: {wrong}")
    with changed(call.double.place) as content:
        full, info = _token(content, call)
        info.update({key: call.values[key] for key in TOKEN_FIELDS.keys() & call.values.keys()})
        info.update({key: 0 for key in removed if key == "expire"})
        for key in [key for key in info if info[key] == "" or (key in removed and key != "expire")]:
            del info[key]
        answer = dict(info)
        if "privsep" in call.values:
            answer["privsep"] = str(answer.get("privsep", 1))
        if call.values.get("regenerate"):
            answer |= {"full-tokenid": full, "value": str(uuid.uuid4())}
            _save_secret(call.double.place, full, answer["value"])
    return answer


def delete_token(call: Call) -> None:
    """Remove a token and its entries."""
    with changed(call.double.place) as content:
        full, _info = _token(content, call)
        del content["tokens"][full]
        _save_secret(call.double.place, full, None)
        content["acl"] = [entry for entry in content["acl"] if entry["ugid"] != full]


def list_acl(call: Call) -> list[dict[str, Any]]:
    """Return the entries on paths whose rights the caller may see."""
    rights = call.rights
    return [
        entry
        for entry in load(call.double.place)["acl"]
        if rights.has("/access", "Sys.Audit", "Permissions.Modify")
        or rights.has(entry["path"], "Permissions.Modify")
    ]


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


def _check_user(*privileges: str, mine: bool = False) -> Any:  # noqa: ANN401  # a check of a call
    def check(call: Call) -> None:
        if mine and call.said("userid") == call.caller:
            return
        if not call.rights.has("/access/groups", *privileges):
            raise denied()

    return check


_modify = need("/access", "Sys.Modify")
_own = _check_user("User.Modify", mine=True)
_USER, _TOKEN = {"userid": USER}, {"userid": USER, "tokenid": TOKEN}
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
    Endpoint("GET", _ONE, _USER, get_user, _check_user("User.Modify", "Sys.Audit", mine=True)),
    Endpoint("PUT", _ONE, _USER | USER_FIELDS, update_user, _check_user("User.Modify")),
    Endpoint("DELETE", _ONE, _USER, delete_user, _check_user_creation),
    Endpoint("GET", f"{_ONE}/token", _USER, list_tokens, _own),
    Endpoint("GET", f"{_ONE}/token/{{tokenid}}", _TOKEN, get_token, _own),
    Endpoint("POST", f"{_ONE}/token/{{tokenid}}", _TOKEN | TOKEN_FIELDS, create_token, _own),
    Endpoint(
        "PUT",
        f"{_ONE}/token/{{tokenid}}",
        _TOKEN | TOKEN_FIELDS | {"delete": text("pve-configid-list"), "regenerate": flag()},
        update_token,
        _own,
    ),
    Endpoint("DELETE", f"{_ONE}/token/{{tokenid}}", _TOKEN, delete_token, _own),
    Endpoint("GET", "/access/acl", {}, list_acl),
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
