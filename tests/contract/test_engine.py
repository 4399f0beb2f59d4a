"""The engine leaves no difference behind, changes nothing in a trial, and never guesses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from releve.errors import RefusedError
from releve.pve.client import Address, Pve
from releve.pve.keeper import Keeper
from releve.pve.live import apply, read
from releve.pve.objects import objects_of
from releve.pve.reconcile import checked, plan, refuse_unsafe
from releve.pve.tokens import MIGRATE, Token
from releve.town import load_town

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contract.conftest import Host

    from releve.pve.kinds import Fields
    from releve.pve.reconcile import Step

Objects = dict[str, dict[str, "Fields | None"]]
LAB = Path(__file__).parents[2] / "inventory" / "lab"


class Engine:
    """The engine on one host, as root, with the lab's objects."""

    def __init__(self, host: Host, folder: Path) -> None:
        """Connect."""
        url = urlsplit(host.url)
        self.address = Address("pve1", str(url.hostname), Path(host.ca), url.port or 8006)
        self.root = Pve.with_password(self.address, host.password)
        self.keeper = Keeper(self.address, folder)

    def steps(self, objects: Objects, pve: Pve | None = None) -> list[Step]:
        """Return what differs."""
        to_be = checked(objects)
        return plan(read(pve or self.root, self.keeper, to_be), to_be)

    def run(self, objects: Objects) -> list[str]:
        """Do what differs and name it."""
        steps = self.steps(objects)
        refuse_unsafe(steps)
        for step in steps:
            apply(self.root, self.keeper, step)
        return [step.title for step in steps]

    def token(self) -> Pve:
        """Return the API as the migration's token sees it."""
        secret = (self.keeper.folder / ".tokens/pve1" / MIGRATE).read_text().strip()
        return Pve.with_token(self.address, Token(MIGRATE, secret))


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    """What the lab's town wants, with its storage in a folder of this test."""
    name = "s" + "".join(letter for letter in tmp_path.name if letter.isalnum())[-12:] + "x"
    town = load_town(LAB)
    storage = town.storage["vmdata"].model_copy(update={"path": tmp_path / "vmdata"})
    wanted: Any = objects_of(town.model_copy(update={"storage": {name: storage}}), "pve1")
    entries: Objects = wanted
    return entries


@pytest.fixture
def engine(host: Host, tmp_path: Path) -> Iterator[Engine]:
    """The engine, with a folder of its own for secrets; its user is not left behind."""
    engine = Engine(host, tmp_path)
    yield engine
    engine.root.delete("/access/users/releve@pve")


def test_a_second_run_changes_nothing(engine: Engine, objects: Objects) -> None:
    assert engine.run(objects)
    assert engine.run(objects) == []


def test_a_trial_changes_nothing(engine: Engine, objects: Objects) -> None:
    before = engine.steps(objects)

    assert before
    assert [step.title for step in engine.steps(objects)] == [step.title for step in before]


def test_a_change_by_hand_is_found_and_undone(engine: Engine, objects: Objects) -> None:
    engine.run(objects)
    engine.root.put("/access/roles/ReleveMigrate", privs="VM.Audit")
    engine.root.put("/pools/services", comment="")
    engine.root.put(
        "/access/acl", path="/pool/services", tokens=MIGRATE, roles="Administrator", propagate=1
    )

    assert engine.run(objects) == [
        "role ReleveMigrate", "pool services", f"acl /pool/services {MIGRATE}",
    ]  # fmt: skip
    assert engine.steps(objects) == []


def test_a_lost_secret_is_made_anew(engine: Engine, objects: Objects) -> None:
    engine.run(objects)
    (engine.keeper.folder / ".tokens/pve1" / MIGRATE).write_text("00000000-0000\n")

    assert engine.run(objects) == [f"token {MIGRATE}"]
    assert engine.token().get("/version")["release"]


def test_without_rights_nothing_is_called_missing(engine: Engine, objects: Objects) -> None:
    engine.run(objects)
    unseen = {"user": {"other@pve": {"comment": "x"}}, "pool": {"elsewhere": {"comment": "x"}}}

    steps = engine.steps(unseen, engine.token())  # type: ignore[arg-type]  # a literal of fields

    assert {step.action for step in steps} == {"unreadable"}


def test_another_path_is_refused_and_nothing_is_changed(engine: Engine, objects: Objects) -> None:
    engine.run(objects)
    name, fields = next(iter(objects["storage"].items()))
    objects["storage"][name] = {**(fields or {}), "path": "/elsewhere"}
    objects["pool"]["services"] = {"comment": "changed too"}

    with pytest.raises(RefusedError, match="must be /elsewhere, which PVE cannot change"):
        engine.run(objects)
    assert engine.root.get("/pools/services")["comment"] != "changed too"


def test_what_is_null_is_removed(engine: Engine, objects: Objects) -> None:
    engine.run(objects)
    nothing: Objects = {kind: dict.fromkeys(names) for kind, names in objects.items()}

    assert engine.run(nothing)
    assert engine.steps(nothing) == []


def test_the_token_can_do_its_work_and_nothing_else(engine: Engine, objects: Objects) -> None:
    engine.run(objects)
    token = engine.token()

    for method, path, parameters in (
        ("POST", "/storage", {"storage": "own", "type": "dir", "path": "/own"}),
        ("POST", "/access/users", {"userid": "own@pve"}),
        ("PUT", "/access/acl", {"path": "/", "users": "releve@pve", "roles": "Administrator"}),
        ("POST", "/nodes/pve1/qemu", {"vmid": 999, "name": "outside-of-the-pool"}),
        ("POST", "/nodes/pve1/qemu", {"vmid": 998, "pool": "services", "args": "-S"}),
    ):
        with pytest.raises(Exception, match=r"Permission check failed|only root can set"):
            token.ask(method, path, dict(parameters))
