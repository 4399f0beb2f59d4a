"""Each endpoint of the double takes what PVE's takes, no more, in the same terms."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.contract.conftest import EVERY_ENDPOINT, NODE, Caller, Host, shared

if TYPE_CHECKING:
    from releve.lab.pve.api import Endpoint
    from releve.lab.pve.parameters import Parameter


@pytest.fixture(scope="session")
def schema() -> dict[str, Any]:
    """PVE's own description of its API."""
    content: dict[str, Any] = json.loads(shared("apischema.json").read_text())["endpoints"]
    return content


def name_of(endpoint: Endpoint) -> str:
    """Return an endpoint's name for reports."""
    return f"{endpoint.method} {endpoint.path}"


def properties(schema: dict[str, Any], endpoint: Endpoint) -> dict[str, Any]:
    """Return what PVE's endpoint takes; fails when PVE has none."""
    about = schema[endpoint.path][endpoint.method]
    found: dict[str, Any] = (about.get("parameters") or {}).get("properties") or {}
    return found


def terms(parameter: Parameter) -> dict[str, Any]:
    """Return a parameter of the double in the schema's terms."""
    said: dict[str, Any] = {"type": parameter.type, "optional": int(parameter.optional)}
    said["minimum"], said["maximum"] = parameter.minimum, parameter.maximum
    said["minLength"], said["maxLength"] = parameter.min_length, parameter.max_length
    said["requires"] = parameter.requires or None
    said["enum"] = list(parameter.enum) or None
    return said


def pve_terms(about: dict[str, Any]) -> dict[str, Any]:
    """Return a parameter of PVE in the same terms."""
    keys = ("minimum", "maximum", "minLength", "maxLength", "requires", "enum")
    said: dict[str, Any] = {key: about.get(key) for key in keys}
    return said | {"type": about["type"], "optional": int(about.get("optional", 0))}


@pytest.mark.parametrize("endpoint", EVERY_ENDPOINT, ids=name_of)
def test_parameters_are_those_of_pve(schema: dict[str, Any], endpoint: Endpoint) -> None:
    theirs = properties(schema, endpoint)

    assert set(endpoint.parameters) <= set(theirs)
    for name, parameter in endpoint.parameters.items():
        if isinstance(theirs[name], dict) and name != "format":
            assert (name, terms(parameter)) == (name, pve_terms(theirs[name]))
        if parameter.count > 1:
            assert theirs[name]["x-index"] == [0, parameter.count - 1]


@pytest.mark.parametrize("endpoint", EVERY_ENDPOINT, ids=name_of)
def test_what_pve_demands_is_demanded(schema: dict[str, Any], endpoint: Endpoint) -> None:
    demanded = {
        name
        for name, about in properties(schema, endpoint).items()
        if isinstance(about, dict) and not about.get("optional") and "[n]" not in name
    }

    assert demanded <= {
        name for name, parameter in endpoint.parameters.items() if not parameter.optional
    }


@pytest.fixture(scope="session")
def powerless(host: Host) -> Caller:
    """A token without any right."""
    root = host.root()
    root.ask("POST", "/access/users", {"userid": "nobody@pve"})
    root.ask("DELETE", "/access/users/nobody@pve/token/none")
    answer = root.ask("POST", "/access/users/nobody@pve/token/none")
    return host.token("nobody@pve!none", answer.data["value"])


EXAMPLE = {
    "node": NODE, "storage": "vmdata", "poolid": "services", "vmid": "999", "roleid": "Some",
    "userid": "a@pve", "tokenid": "tok",
}  # fmt: skip


@pytest.mark.parametrize("endpoint", EVERY_ENDPOINT, ids=name_of)
def test_a_caller_without_rights_hears_which_he_lacks(
    schema: dict[str, Any], powerless: Caller, endpoint: Endpoint
) -> None:
    check = (schema[endpoint.path][endpoint.method].get("permissions") or {}).get("check")
    if not check or check[0] != "perm":
        pytest.skip("PVE checks the rights of this one inside its code")
    _kind, where, privileges, *how = check
    given = {key: EXAMPLE[key] for key in EXAMPLE if f"{{{key}}}" in where + endpoint.path}
    joined = ("|" if "any" in how else ", ").join(privileges)

    answer = powerless.ask(endpoint.method, endpoint.path.format(**given), given_body(endpoint))

    assert (answer.status, answer.reason) == (
        403,
        f"Permission check failed ({where.format(**given)}, {joined})",
    )


def given_body(endpoint: Endpoint) -> dict[str, str]:
    """Return what a path of rights may need that is not in the path of the request."""
    in_body = "{poolid}" not in endpoint.path and "poolid" in endpoint.parameters
    return {"poolid": EXAMPLE["poolid"]} if in_body else {}
