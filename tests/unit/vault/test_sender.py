"""The sender as it is installed (one file, the system's Python) on a real QEMU."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from releve.blocks.qmp import Qmp
from releve.vault import grant, seal
from releve.vault.bundle import build

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vault_rig import Vault

PYTHON = "/usr/bin/python3"  # libnbd belongs to the system's Python
MIB = 1 << 20
SSH = """#!/bin/sh
# stands for ssh and sshd: the last word is the command, the one before USER@HOST
for word; do before=$last; last=$word; done
export SSH_ORIGINAL_COMMAND="$last"
case $before in
releve-receive@*) exec {python} {vault} --config {config} receive --sender pve1 ;;
*) exec {python} {vault} --config {config} serve $(cat {folder}/ticket) ;;
esac
"""


def _missing() -> str | None:
    if os.geteuid() or not shutil.which("qemu-system-x86_64") or not shutil.which("qemu-nbd"):
        return "needs root and QEMU"
    found = subprocess.run([PYTHON, "-c", "import nbd"], capture_output=True, check=False)
    return "needs python3-libnbd" if found.returncode else None


pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(_missing()), reason=str(_missing())),
]


@dataclass
class Node:
    """A node with one guest, called compta, number 101."""

    root: Path
    vault: Vault
    env: dict[str, str]

    @property
    def raw(self) -> Path:
        """The guest's disk."""
        return self.root / "disk.raw"

    def start(self, *, memory: bool = False) -> None:
        """Start the guest's QEMU, with PVE's names; its processor stands still."""
        throttle = {
            "driver": "throttle",
            "node-name": "drive-virtio0",
            "throttle-group": "group",
            "file": {"driver": "raw", "file": {"driver": "file", "filename": str(self.raw)}},
        }
        run = self.root / "run/qemu-server"
        words = ["qemu-system-x86_64", "-S", "-display", "none", "-nodefaults", "-daemonize"]
        words += ["-qmp", f"unix:{run}/101.qmp,server=on,wait=off", "-pidfile", f"{run}/101.pid"]
        words += ["-object", "throttle-group,id=group", "-blockdev", json.dumps(throttle)]
        words += ["-device", "virtio-blk-pci,drive=drive-virtio0,id=virtio0", "-m", "32"]
        subprocess.run(words, check=True, timeout=20)

    def stop(self) -> None:
        """Take the guest's power away."""
        pid = self.root / "run/qemu-server/101.pid"
        if pid.exists():
            os.kill(int(pid.read_text()), signal.SIGKILL)
            pid.unlink()
            (self.root / "run/qemu-server/101.qmp").unlink()

    def monitor(self, command: str, **arguments: Any) -> Any:
        """Ask QEMU."""
        with Qmp(str(self.root / "run/qemu-server/101.qmp")) as qmp:
            return qmp.execute(command, **arguments)

    def write(self, pattern: int, offset: int, length: int = 65_536) -> None:
        """Write as the guest does."""
        drive = "/machine/peripheral/virtio0/virtio-backend"
        line = f'qemu-io -d {drive} "write -P {pattern} {offset} {length}"'
        assert "error" not in self.monitor("human-monitor-command", command_line=line).lower()

    def argv(self, *words: str) -> list[str]:
        """Return the words that run the sender."""
        pyz = str(self.root / "vault-send.pyz")
        return [
            PYTHON,
            "-I",
            pyz,
            f"--config={self.root}/sender.json",
            f"--root={self.root}",
            *words,
        ]

    def send(self, *words: str, ok: bool = True) -> dict[str, Any]:
        """Run the sender with a sealer beside it."""
        process = subprocess.Popen(
            self.argv(*words), env=self.env, stdout=subprocess.PIPE, text=True
        )
        while process.poll() is None:
            seal.seal_all(self.vault.config)
            time.sleep(0.02)
        assert process.stdout is not None
        answer: dict[str, Any] = json.loads(process.stdout.read())
        process.stdout.close()
        assert answer["ok"] is ok, answer
        return answer

    def left(self) -> list[str]:
        """Return what a copy must not leave: nodes, jobs, exports; files."""
        nodes = [row["node-name"] for row in self.monitor("query-named-block-nodes")]
        found = [name for name in nodes if name.startswith("vaultcopy-")]
        found += [row["id"] for row in self.monitor("query-jobs")]
        found += [row["id"] for row in self.monitor("query-block-exports")]
        state = self.root / "state/compta"
        return found + [p.name for p in (*state.glob("fleece*"), *state.glob("*.new"))]

    def bitmaps(self) -> list[str]:
        """Return the bitmaps of the disk."""
        rows = self.monitor("query-named-block-nodes")
        return [b["name"] for row in rows for b in row.get("dirty-bitmaps", [])]

    def copied(self) -> bytes:
        """Return the disk of the newest copy."""
        return (self.vault.copies()[-1].folder / "vda.raw").read_bytes()


@pytest.fixture
def node(vault: Vault, tmp_path: Path) -> Iterator[Node]:
    """Return a node whose guest is off, with a disk of 16 MiB, 4 of them random."""
    root = tmp_path / "node"
    for name in ("run/qemu-server", "etc/pve/qemu-server", "bin", "state"):
        (root / name).mkdir(parents=True)
    config = {"root": str(vault.config.root), "keys_folder": str(vault.config.keys_folder)}
    for key in ("lock_days", "quota_bytes", "largest_disk_bytes", "reserve_percent"):
        config[key] = getattr(vault.config, key)
    config |= {"copies_per_day": 24, "senders": vault.config.senders}  # type: ignore[dict-item]
    (root / "vault.json").write_text(json.dumps(config))
    for name in ("vault.pyz", "vault-send.pyz"):
        (root / name).write_bytes(build(name))
    words = {"python": PYTHON, "vault": root / "vault.pyz", "config": root / "vault.json"}
    (root / "bin/ssh").write_text(SSH.format(folder=root, **words))
    (root / "bin/pvesm").write_text(f"#!/bin/sh\necho {root}/disk.raw\n")
    for program in (root / "bin").iterdir():
        program.chmod(0o755)
    conf = "name: compta\nvirtio0: vmdata:101/vm-101-disk-0.raw,size=16M\nide2: none,media=cdrom\n"
    (root / "etc/pve/qemu-server/101.conf").write_text(conf + "[before]\nvirtio1: x:y\n")
    settings = {
        "address": "198.51.100.13",
        "key": "/nonexistent",
        "known_hosts": "/nonexistent",
        "state": str(root / "state"),
        "reserve_bytes": MIB,
        "receive_user": "releve-receive",
        "restore_user": "releve-restore",
        "guests": {"compta": {"vmid": 101, "disks": {"virtio0": "vda"}}},
    }
    (root / "sender.json").write_text(json.dumps(settings))
    with (root / "disk.raw").open("wb") as stream:
        stream.write(os.urandom(4 * MIB))
        stream.truncate(16 * MIB)
    made = Node(root, vault, os.environ | {"PATH": f"{root}/bin:{os.environ['PATH']}"})
    yield made
    made.stop()


def test_a_guest_that_is_off_is_read_from_its_file(node: Node) -> None:
    first = node.send("copy", "compta")
    assert (first["copy"], first["how"], first["witness"]) == (1, "all", None)
    assert node.copied() == node.raw.read_bytes()
    assert node.send("copy", "compta")["sent_blocks"] == 0
    said = json.loads((node.vault.copies()[0].folder / "guest.json").read_text())
    assert said["config"]["name"] == "compta"
    assert "virtio1" not in said["config"]
    assert said["state"] == "stopped"


def test_copies_of_a_running_guest_follow_its_bitmap(node: Node) -> None:
    node.start()
    assert node.send("copy", "compta")["how"] == "all"
    assert node.copied() == node.raw.read_bytes()
    node.write(7, 8 * MIB)
    second = node.send("copy", "compta")
    assert (second["how"], second["sent_blocks"], second["read_bytes"]) == ("bitmap", 4, 65_536)
    assert node.copied() == node.raw.read_bytes()
    assert node.copied()[8 * MIB] == 7
    assert node.left() == []
    assert len(node.bitmaps()) == 1


def test_another_qemu_means_comparing_everything(node: Node) -> None:
    node.start()
    node.send("copy", "compta")
    node.stop()
    with node.raw.open("r+b") as stream:
        stream.write(b"changed while nobody looked")
    node.start()
    assert node.send("copy", "compta")["how"] == "compared"
    assert node.copied() == node.raw.read_bytes()


def test_writes_after_the_freeze_are_not_in_the_copy(node: Node) -> None:
    node.start()
    before = node.raw.read_bytes()
    slow = node.root / "bin/ssh"
    slow.write_text(
        slow.read_text().replace("export SSH", f"touch {node.root}/called; sleep 1; export SSH")
    )
    process = subprocess.Popen(node.argv("copy", "compta"), env=node.env, stdout=subprocess.PIPE)
    while not (node.root / "called").exists():
        time.sleep(0.01)
    node.write(9, 0)
    node.write(9, 12 * MIB)
    while process.poll() is None:
        seal.seal_all(node.vault.config)
        time.sleep(0.02)
    process.communicate()
    assert process.returncode == 0
    assert node.copied() == before
    after = node.send("copy", "compta")
    assert (after["how"], after["read_bytes"]) == ("bitmap", 2 * 65_536)
    assert node.copied() == node.raw.read_bytes() != before


def test_a_killed_run_is_cleared_by_the_next(node: Node) -> None:
    node.start()
    node.send("copy", "compta")
    slow = node.root / "bin/ssh"
    quick = slow.read_text()
    slow.write_text(f"#!/bin/sh\ntouch {node.root}/called; sleep 60\n")
    process = subprocess.Popen(node.argv("copy", "compta"), env=node.env, stdout=subprocess.PIPE)
    while not (node.root / "called").exists():
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert node.left() != []
    node.write(5, 4 * MIB)
    slow.write_text(quick)
    again = node.send("copy", "compta")
    assert again["how"] == "compared"
    assert node.copied() == node.raw.read_bytes()
    assert node.left() == []
    assert len(node.bitmaps()) == 1


def test_tidy_keeps_the_chain_and_nothing_else(node: Node) -> None:
    node.start()
    node.send("copy", "compta")
    node.monitor("block-dirty-bitmap-add", node="drive-virtio0", name="somebody-else")
    node.monitor("block-dirty-bitmap-add", node="drive-virtio0", name="vaultcopy-stale")
    node.send("tidy", "compta")
    assert "vaultcopy-stale" not in node.bitmaps()
    assert len(node.bitmaps()) == 2
    assert node.send("copy", "compta")["how"] == "bitmap"


def test_a_refusal_is_told_and_leaves_the_guest_alone(node: Node) -> None:
    node.start()
    config = json.loads((node.root / "vault.json").read_text())
    (node.root / "vault.json").write_text(json.dumps(config | {"quota_bytes": 512}))
    answer = node.send("copy", "compta", ok=False)
    assert "quota" in answer["error"]
    assert node.left() == []
    assert node.bitmaps() == []


def test_an_unreachable_vault_is_one_sentence(node: Node) -> None:
    node.start()
    (node.root / "bin/ssh").write_text("#!/bin/sh\necho 'no route' >&2; exit 255\n")
    answer = node.send("copy", "compta", ok=False)
    assert answer["kind"] == "WireError"
    assert node.left() == []


def test_too_little_room_for_the_guest_is_refused(node: Node) -> None:
    node.start()
    settings = json.loads((node.root / "sender.json").read_text())
    (node.root / "sender.json").write_text(json.dumps(settings | {"reserve_bytes": 1 << 60}))
    assert "make room" in node.send("copy", "compta", ok=False)["error"]
    assert node.left() == []


def test_a_copy_comes_back_through_a_grant(node: Node) -> None:
    node.send("copy", "compta")
    one = grant.grant(node.vault.config, "compta", "pve1", 1, None)
    (node.root / "ticket").write_text(f"{one.ticket} {one.guest}")
    words = node.send("peek")
    assert words["disks"] == [{"name": "vda", "size": 16 * MIB}]
    target = node.root / "restored.raw"
    with target.open("wb") as stream:
        stream.truncate(16 * MIB)
    answer = node.send("fetch", f"vda={target}")
    assert (answer["faults"], answer["written"]) == ([], True)
    assert target.read_bytes() == node.raw.read_bytes()
    assert target.stat().st_blocks * 512 < 5 * MIB
    target.write_bytes(os.urandom(16 * MIB))
    assert node.send("fetch", f"vda={target}")["written"]
    assert target.read_bytes() == node.raw.read_bytes()


def test_a_copy_that_was_altered_on_the_vault_is_named(node: Node) -> None:
    node.send("copy", "compta")
    folder = node.vault.copies()[0].folder
    subprocess.run(["btrfs", "property", "set", "-ts", str(folder), "ro", "false"], check=True)
    subprocess.run(["chattr", "-R", "-i", str(folder)], check=True)
    with (folder / "vda.raw").open("r+b") as stream:
        stream.seek(MIB)
        stream.write(b"altered")
    one = grant.grant(node.vault.config, "compta", "pve1", 1, None)
    (node.root / "ticket").write_text(f"{one.ticket} {one.guest}")
    target = node.root / "restored.raw"
    target.touch()
    answer = node.send("fetch", f"vda={target}")
    assert "vda.raw is not what was sealed" in answer["faults"]


@pytest.mark.parametrize(
    ("role", "name"), [("vault_target", "vault.pyz"), ("vault_sender", "vault-send.pyz")]
)
def test_a_role_packs_the_same_bytes(tmp_path: Path, role: str, name: str) -> None:
    script = Path(__file__).parents[3] / "roles" / role / "files/vault/bundle.py"
    target = tmp_path / "new" / name
    subprocess.run([sys.executable, "-I", str(script), name, str(target)], check=True)
    assert target.read_bytes() == build(name)
