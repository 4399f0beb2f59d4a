"""The restore drill: nothing is booted before it was compared, and a guest's own chain decides."""

from __future__ import annotations

import json
import socketserver
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from releve.drills.restore import RestoreDrill
from releve.errors import CheckError, RefusedError
from releve.town import Town, load_town
from releve.vault.site import CopyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from releve.drills.evidence import Evidence

LAB = Path(__file__).parents[3] / "inventory/lab/town.yml"
WORK, BOOT = 2, 1


@dataclass
class Chain:
    """A guest's records: (sum, kind, ms), the first has number 1."""

    records: list[tuple[str, int, int]]
    broken: bool = False

    def answer(self, line: str) -> dict[str, Any]:
        """Answer as the lab's guest does."""
        word, _, number = line.partition(" ")
        if word == "record":
            if int(number) > len(self.records):
                return {"record": int(number), "missing": True}
            sum_, kind, ms = self.records[int(number) - 1]
            return {"record": int(number), "sum": sum_, "kind": kind, "ms": ms}
        boots = sum(kind == BOOT for _sum, kind, _ms in self.records)
        return {
            "newest": len(self.records),
            "sum": self.records[-1][0],
            "chain": "broken at 2" if self.broken else "whole",
            "records": len(self.records),
            "boots": boots,
            "unclean": 0,
            "uptime_ms": 1,
            "ms": self.records[-1][2],
        }


@dataclass
class World:
    """Guest, node, sender and vault in one: what the drill did is in `done`."""

    chain: Chain
    copied: int
    done: list[str] = field(default_factory=list)
    granted: bool = False
    faults: list[str] = field(default_factory=list)
    written: bool = True
    disks: list[dict[str, Any]] = field(default_factory=lambda: [{"name": "vda", "root": "r"}])
    told: bool = True
    sealed: bool = True
    comes_back: Chain | None = None

    def copies(self) -> dict[str, list[dict[str, Any]]]:
        """One copy was brought."""
        witness = {"record": self.copied, "sum": f"s{self.copied}", "ms": self.copied * 50}
        disks = [{"name": "vda", "root": "r"}]
        return {"compta": [{"copy": 3, "disks": disks, "witness": witness}] if self.told else []}

    def peek(self) -> dict[str, Any]:
        """Refused without a grant."""
        if not self.granted:
            message = "permission denied"
            raise CopyError(message)
        return {"disks": [{"name": "vda", "size": 512}], "files": {}}

    def fetch(self, targets: dict[str, str], number: int) -> dict[str, Any]:
        """Fill the volumes."""
        self.done.append(f"fetch {number} {sorted(targets)}")
        facts = {} if self.faults else {"disks": self.disks}
        return {"faults": self.faults, "written": self.written, "bytes": 512, "facts": facts}

    def run(self, argv: Sequence[str], *, check: bool = True) -> tuple[int, str]:
        """Play the vault's console."""
        if argv[1] == "verify":
            self.done.append(" ".join(argv[1:]))
            return (0, "as sealed\n") if self.sealed else (1, "vda.raw was altered\n")
        self.granted = argv[1] == "grant"
        self.done.append(" ".join(argv[1:3]))
        return 0, "0123456789abcdef  pve1 may read pve1/compta\n" if check else ""

    def destroy(self, vmid: int) -> None:
        """Note it."""
        self.done.append(f"destroy {vmid}")

    def make(self, vmid: int, said: dict[str, Any], sizes: dict[str, int]) -> dict[str, str]:
        """Note it."""
        self.done.append(f"make {vmid} {said} {sizes}")
        return {"vda": "/volume"}

    def attach(self, vmid: int) -> None:
        """Note it."""
        self.done.append(f"attach {vmid}")

    def start(self, vmid: int) -> None:
        """Note it; from here on the restored chain answers."""
        self.done.append(f"start {vmid}")
        back = [*self.chain.records[: self.copied + 2], ("b", BOOT, 10_000), ("w", WORK, 10_050)]
        self.chain.records = self.comes_back.records if self.comes_back else back
        self.chain.broken = bool(self.comes_back and self.comes_back.broken)


@pytest.fixture
def world() -> World:
    """Return a guest with 20 records, copied at the 10th."""
    records = [(f"s{n}", BOOT if n == 1 else WORK, n * 50) for n in range(1, 21)]
    return World(Chain(records), 10)


@pytest.fixture
def town(world: World, tmp_path: Path) -> Iterator[Town]:
    """Return the lab's town with its guest's witness on this machine."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            answer = world.chain.answer(self.rfile.readline().decode().strip())
            self.wfile.write(json.dumps(answer).encode() + b"\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        words = yaml.safe_load(LAB.read_text())
        words["networks"]["local"] = {"cidr": "127.0.0.0/8", "bridge": "br1"}
        words["guests"]["compta"]["nics"][0] |= {"network": "local", "address": "127.0.0.1"}
        words["guests"]["compta"]["witness"]["port"] = server.server_address[1]
        file = tmp_path / "town.yml"
        file.write_text(yaml.safe_dump(words))
        yield load_town(file)
        server.shutdown()


def drill(town: Town, world: World, tmp_path: Path) -> Evidence:
    """Run the drill on `compta`."""
    made = RestoreDrill(town, "compta", world, world, world, lambda _line: None)
    return made.run(tmp_path / "evidence")


def verdicts(tmp_path: Path) -> dict[str, Any]:
    """Return id -> check of the evidence that was written."""
    words = json.loads((tmp_path / "evidence/restore.json").read_text())
    return {check["id"]: check for check in words["checks"]}


def test_a_good_copy_comes_back_and_is_measured(town: Town, world: World, tmp_path: Path) -> None:
    assert drill(town, world, tmp_path).passed
    assert [step.split()[0] for step in world.done] == [
        "verify", "destroy", "grant", "make", "fetch", "revoke", "attach", "start",
    ]  # fmt: skip
    found = verdicts(tmp_path)
    # The newest record before was 20, the copy held 12 (two came between witness and freeze).
    assert found["compta.rpo"]["value"] == pytest.approx(8 * 0.05)
    assert found["compta.chain-equal"]["value"] == 10
    assert found["compta.grant-ended"]["passed"]
    assert found["compta.rto"]["value"] >= 0


@pytest.mark.parametrize(
    ("change", "id_"),
    [
        ({"faults": ["vda.raw is not what was sealed"]}, "copy-equals-manifest"),
        ({"written": False}, "target-equals-manifest"),
        ({"disks": [{"name": "vda", "root": "another"}]}, "copy-as-told"),
    ],
)
def test_what_is_not_the_copy_is_never_booted(
    town: Town, world: World, tmp_path: Path, change: dict[str, Any], id_: str
) -> None:
    for name, value in change.items():
        setattr(world, name, value)
    with pytest.raises(CheckError, match="not booted"):
        drill(town, world, tmp_path)
    assert not any(step.startswith(("attach", "start")) for step in world.done)
    assert world.done[-1].startswith("revoke")
    found = verdicts(tmp_path)
    assert not found[f"compta.{id_}"]["passed"]
    assert not found["completed"]["passed"]


@pytest.mark.parametrize(
    ("back", "id_"),
    [
        (Chain([("other", WORK, 1)] * 12), "chain-equal"),
        (Chain([("s1", BOOT, 50), ("s2", WORK, 100)]), "chain-equal"),
        (Chain([(f"s{n}", WORK, n) for n in range(1, 14)], broken=True), "chain-whole"),
    ],
)
def test_a_chain_that_is_not_the_copys_fails(
    town: Town, world: World, tmp_path: Path, back: Chain, id_: str
) -> None:
    world.comes_back = back
    assert not drill(town, world, tmp_path).passed
    assert not verdicts(tmp_path)[f"compta.{id_}"]["passed"]


def test_a_guest_without_a_copy_is_left_alone(town: Town, world: World, tmp_path: Path) -> None:
    world.told = False
    with pytest.raises(RefusedError, match="no copy"):
        drill(town, world, tmp_path)
    assert world.done == []


def test_a_guest_whose_copy_was_altered_is_not_destroyed(
    town: Town, world: World, tmp_path: Path
) -> None:
    world.sealed = False
    with pytest.raises(CheckError, match=r"not destroyed: vda\.raw was altered"):
        drill(town, world, tmp_path)
    assert world.done == ["verify pve1/compta 3"]
    assert not verdicts(tmp_path)["compta.copy-as-sealed"]["passed"]
