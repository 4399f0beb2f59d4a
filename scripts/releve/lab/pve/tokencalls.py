"""API tokens, through the API."""

from __future__ import annotations

import uuid
from typing import Any

from .access import USER, changed, check_user, tokens_listed, user_of
from .api import Call, Endpoint
from .formats import split_list
from .parameters import flag, number, text
from .refusal import bad, fault
from .rights import load
from .secretfile import save_secret

TOKEN = text(required=True, pattern=r"[A-Za-z][A-Za-z0-9.\-_]+")
TOKEN_FIELDS = {"comment": text(), "expire": number(0), "privsep": flag()}


def list_tokens(call: Call) -> list[dict[str, Any]]:
    """Return the tokens of a user."""
    content = load(call.double.place)
    user_of(content, call.values["userid"])
    return tokens_listed(content, call.values["userid"])


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
        user_of(content, name)
        if full in content["tokens"]:
            raise bad({"tokenid": "Token already exists."})
        content["tokens"][full] = {"privsep": 1, "expire": 0} | info
        save_secret(call.double.place, full, secret)
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
            save_secret(call.double.place, full, answer["value"])
    return answer


def delete_token(call: Call) -> None:
    """Remove a token and its entries."""
    with changed(call.double.place) as content:
        full, _info = _token(content, call)
        del content["tokens"][full]
        save_secret(call.double.place, full, None)
        content["acl"] = [entry for entry in content["acl"] if entry["ugid"] != full]


_own = check_user("User.Modify", mine=True)
_USER, _TOKEN = {"userid": USER}, {"userid": USER, "tokenid": TOKEN}
_ONE = "/access/users/{userid}"
ENDPOINTS = (
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
)
