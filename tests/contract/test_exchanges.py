"""What real PVE code answered is what the double answers: status, reason, errors and data.

A recorded flow is replayed in its order. Left out is what the double does not have (then the
recorded answer says nothing about it) and what depends on it.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from tests.contract.conftest import EVERY_ENDPOINT, Answer, Caller, Host, shared

from releve.lab.pve.parameters import specification

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from releve.lab.pve.api import Endpoint

Exchange = dict[str, Any]
COMMENTS = {"auto": {"comment": "automation"}}
FLOWS = ("crud:role", "crud:user3", "crud:token", "crud:acl", "crud:pool", "crud:storage_dir")
UNKNOWN = "property is not defined in schema and the schema does not allow additional properties"
VOLATILE = {
    "pid", "pstart", "starttime", "upid", "parent", "repoid", "CSRFPreventionToken",
    "ticket", "cap",
    "digest", "ctime", "members", "value", "meta", "smbios1", "vmgenid",
    "active", "avail", "total", "used", "used_fraction",
}  # fmt: skip
SETS = {"content", "nodes", "privs"}
IDS = ("roleid", "userid", "tokenid", "poolid", "storage", "volid", "vmid")
# What Perl puts behind its own errors.
PERL = re.compile(r" at /usr/share/perl5/\S+ line \d+\.")


@dataclass
class Replay:
    """One flow against one host: what recorded names stand for here, and what was left out."""

    callers: dict[str, Caller]
    names: dict[str, str] = field(default_factory=dict)
    replayed: int = 0
    left_out: list[str] = field(default_factory=list)
    unmade: set[str] = field(default_factory=set)
    unsent: set[str] = field(default_factory=set)

    def step(self, exchange: Exchange) -> list[str]:
        """Send one exchange and return what differs."""
        caller = self.callers.get(exchange["auth"])
        endpoint, params = find(exchange), self.renamed(exchange.get("params") or {})
        strange = self.touches_unmade(exchange) or self.of_no_task_here(exchange)
        if caller is None or strange or not known(endpoint, exchange):
            self.left_out.append(f"{exchange['method']} {exchange['path']}")
            self.unmade |= made_by(exchange)
            self.unsent |= (exchange.get("params") or {}).keys()
            return []
        path = self.renamed(exchange["path"])
        as_json = bool(exchange.get("json_body"))
        if "/tasks/" in path and exchange["status"] == 200:
            ended(caller, path.split("/")[4])
        answer = caller.ask(exchange["method"], path, params, json=as_json)
        self.replayed += 1
        self.learn(exchange, answer)
        where = f"{exchange.get('step', '')}: {exchange['method']} {path} {params}"
        told = exchange | {key: self.renamed(exchange[key]) for key in ("response", "reason")}
        return [f"{where}: {one}" for one in differences(told, answer, self.unsent)]

    def touches_unmade(self, exchange: Exchange) -> bool:
        """Say whether an exchange is about something that was left out before."""
        told = {*exchange["path"].split("/"), *map(str, (exchange.get("params") or {}).values())}
        return not told.isdisjoint(self.unmade)

    def renamed(self, value: Any) -> Any:
        """Put what a name stands for here in the place of what was recorded."""
        if isinstance(value, dict):
            return {key: self.renamed(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self.renamed(one) for one in value]
        if isinstance(value, str):
            for recorded, here in self.names.items():
                value = value.replace(recorded, here)
        return value

    def learn(self, exchange: Exchange, answer: Answer) -> None:
        """Remember which digest or task stands for a recorded one."""
        response = exchange["response"]
        recorded = response.get("data") if isinstance(response, dict) else None
        here = answer.body.get("data") if isinstance(answer.body, dict) else None
        if isinstance(recorded, dict) and isinstance(here, dict) and "digest" in recorded:
            self.names[recorded["digest"]] = here.get("digest", "")
        if str(recorded).startswith("UPID:") and str(here).startswith("UPID:"):
            self.names |= {str(recorded): str(here), quote(str(recorded), safe=""): str(here)}

    def of_no_task_here(self, exchange: Exchange) -> bool:
        """Say whether an exchange asks for a task that was not started here, or not ended yet."""
        found = re.search(r"/tasks/(UPID[^/]+)/", exchange["path"])
        started = found and found[1] in self.names
        data = exchange["response"].get("data")
        unended = isinstance(data, dict) and data.get("status") == "running"
        return bool(found and exchange["status"] == 200 and (not started or unended))


def made_by(exchange: Exchange) -> set[str]:
    """Return the ids of what an exchange made in the recording."""
    if exchange["method"] != "POST" or exchange["status"] != 200:
        return set()
    params = exchange.get("params") or {}
    return {str(params[key]) for key in IDS if key in params}


def find(exchange: Exchange) -> Endpoint | None:
    """Return the double's endpoint of an exchange."""
    for endpoint in EVERY_ENDPOINT:
        if endpoint.match(exchange["method"], exchange["path"]) is not None:
            return endpoint
    return None


def known(endpoint: Endpoint | None, exchange: Exchange) -> bool:
    """Say whether the double can know the answer: the endpoint and all parameters are its own."""
    if endpoint is None:
        return bool(exchange["status"] == 501)
    errors = (exchange["response"] or {}).get("errors") or {}
    return all(
        specification(endpoint.parameters, name) or errors.get(name) == UNKNOWN
        for name in exchange.get("params") or {}
    )


def differences(exchange: Exchange, answer: Answer, unsent: set[str]) -> Iterator[str]:
    """Yield what a client would see differently."""
    if exchange["status"] != answer.status:
        yield f"status {answer.status} {answer.body}, PVE says {exchange['status']}"
        return
    if PERL.sub("", exchange["reason"]) != PERL.sub("", answer.reason):
        yield f"reason {answer.reason!r}, PVE says {exchange['reason']!r}"
    recorded = exchange["response"]
    if "_raw" in recorded:
        return
    if recorded.get("errors") != answer.body.get("errors"):
        yield f"errors {answer.body.get('errors')}, PVE says {recorded.get('errors')}"
    if exchange["path"].endswith("/log"):
        # The double's tasks say less on their way; how they ended is the same.
        yield from data_differences(last(recorded["data"]), last(answer.data), "end", unsent)
    elif exchange["status"] == 200:
        yield from data_differences(recorded["data"], answer.data, "data", unsent)


def last(lines: list[dict[str, Any]]) -> Any:
    """Return the text of the last line of a log."""
    return lines[-1]["t"] if lines else None


def data_differences(theirs: Any, ours: Any, where: str, unsent: set[str]) -> Iterator[str]:
    """Yield differences of shape and value, whatever the order of sets and lists."""
    if type(theirs) is not type(ours):
        yield f"{where}: {ours!r}, PVE says {theirs!r}"
    elif isinstance(theirs, dict):
        missing, extra = theirs.keys() - ours.keys() - unsent, ours.keys() - theirs.keys()
        if missing or extra:
            yield f"{where}: lacks {sorted(missing)}, has {sorted(extra)} that PVE has not"
        for key in theirs.keys() & ours.keys() - VOLATILE:
            yield from data_differences(
                plain(key, theirs), plain(key, ours), f"{where}.{key}", unsent
            )
    elif isinstance(theirs, list):
        mine = {identity(row): row for row in ours}
        for row in theirs:
            if identity(row) in mine:
                yield from data_differences(
                    row, mine[identity(row)], f"{where} of {identity(row)}", unsent
                )
    elif theirs != ours and not str(theirs).startswith("UPID:"):
        yield f"{where}: {ours!r}, PVE says {theirs!r}"


def plain(key: str, row: dict[str, Any]) -> Any:
    """Return a value, sets sorted."""
    return sorted(row[key].split(",")) if key in SETS and isinstance(row[key], str) else row[key]


def identity(row: Any) -> str:
    """Return what tells one row of a list from another."""
    if not isinstance(row, dict):
        return str(row)
    if "ugid" in row:
        return f"{row['path']} {row['roleid']} {row['ugid']}"
    return next((f"{key} {row[key]}" for key in IDS if key in row), "")


@pytest.fixture
def callers(host: Host, tmp_path: Path) -> dict[str, Caller]:
    """Those who asked in the recordings, with the same rights."""
    root = host.root()
    made = {"ticket:root@pam": root, "anon": host.anonymous}
    for user, token, role in (
        ("crudaud@pve", "ro", "PVEAuditor"),
        ("crudno@pve", "none", ""),
        ("crudadm@pve", "adm", "Administrator"),
        ("root@pam", "crud", ""),
        ("root@pam", "auto", ""),
    ):
        if not user.startswith("root"):
            root.ask("POST", "/access/users", {"userid": user})
        if role:
            root.ask("PUT", "/access/acl", {"path": "/", "users": user, "roles": role})
        root.ask("DELETE", f"/access/users/{user}/token/{token}")
        answer = root.ask(
            "POST",
            f"/access/users/{user}/token/{token}",
            {"privsep": 0} | COMMENTS.get(token, {}),
        )
        made[f"token:{user}!{token}"] = host.token(f"{user}!{token}", answer.data["value"])
    root.ask("POST", "/access/users", {"userid": "crudg@pve"})
    root.ask("POST", "/access/users/crudg@pve/token/t9")
    root.ask("POST", "/access/roles", {"roleid": "CrudA", "privs": "VM.Audit"})
    for number in range(3, 10):
        root.ask("DELETE", f"/access/users/crudu{number}@pve")
    for vmid in (*range(100, 114), 200):
        root.ask("DELETE", f"/nodes/pve1/qemu/{vmid}")
    root.ask("POST", "/pools", {"poolid": "crudp2"})
    root.ask("DELETE", "/storage/crudd")
    root.ask("POST", "/storage", {"storage": "crudd", "type": "dir", "path": str(tmp_path)})
    made_guest = root.ask("POST", "/nodes/pve1/qemu", {"vmid": 990, "name": "crud990"})
    if made_guest.status == 200:
        ended(root, made_guest.data)
    return made


def ended(caller: Caller, upid: str) -> dict[str, Any]:
    """Wait for a task and return its status."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        status: dict[str, Any] = caller.ask("GET", f"/nodes/pve1/tasks/{upid}/status").data
        if status["status"] == "stopped":
            return status
        time.sleep(0.05)
    return pytest.fail(f"task {upid} has no end")


def elsewhere(folder: Path) -> dict[str, str]:
    """Return the folders of the recording and what stands for them here."""
    names = {f"/srv/{name}": str(folder / name) for name in ("crud2", "b2", "other")}
    # The guests' storage of the recording; one that another test made has the same folder.
    return names | {"/srv/crud": str(folder), "/srv/bay1": str(folder / "bay1")}


def exchanges(file: Path, flow: str) -> list[Exchange]:
    """Return a flow in its order, without what a stub of the recording answered."""
    lines = (json.loads(line) for line in file.read_text().splitlines())
    return [one for one in lines if one["flow"] == flow and not one.get("stub")]


@pytest.mark.parametrize("flow", FLOWS)
def test_a_recorded_life_is_lived_again(
    callers: dict[str, Caller], flow: str, tmp_path: Path
) -> None:
    replay = Replay(callers, elsewhere(tmp_path))

    wrong = [
        line
        for exchange in exchanges(shared("exchanges-kinds.jsonl"), flow)
        for line in replay.step(exchange)
    ]

    assert replay.replayed > 5, replay.left_out
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def session(host: Host, callers: dict[str, Caller]) -> dict[str, Caller]:
    """Those who asked in the long recording: some of them wrongly."""
    root = callers["ticket:root@pam"]
    for vmid in (101, 200):
        ended(root, root.ask("POST", "/nodes/pve1/qemu", {"vmid": vmid, "name": f"g{vmid}"}).data)
    wrong = {
        "bad-token": host.token("root@pam!auto", "00000000-0000-0000-0000-000000000000"),
        "bad-ticket": Caller(host, {}, "PVE:root@pam:6B050C05::wrong"),
        "ticket-no-csrf": Caller(host, {}, str(root.session.cookies["PVEAuthCookie"])),
    }
    return callers | wrong


# Flows of the long recording that stand on nothing but what `session` makes.
SESSION = ("auth", "errors", "storage", "qemu", "locked", "pool", "tasks")
# Paths of it that say something about the recording's machine, or about content that came from
# outside of the API.
OF_THAT_MACHINE = re.compile(r"/nodes$|is_mountpoint|/qemu/101/|source=|/access/permissions")


def test_a_recorded_session_is_had_again(session: dict[str, Caller], tmp_path: Path) -> None:
    # A user with a password of his own: the double knows root's alone. Its storage is defined.
    replay = Replay(session, elsewhere(tmp_path), unmade={"lab@pve"}, unsent={"priority"})

    wrong = []
    for flow in SESSION:
        if flow == "qemu":
            # Its guest goes through what the double has not: an ISO, a resize, another storage.
            replay.unmade.add("100")
        wrong += [
            line
            for exchange in exchanges(shared("exchanges.jsonl"), flow)
            if not (exchange["method"] == "GET" and OF_THAT_MACHINE.search(exchange["path"]))
            for line in replay.step(exchange)
        ]

    assert replay.replayed > 100, replay.left_out
    assert not wrong, "\n".join(wrong)
