"""Copy guests to the vault, and try as root of the sender what an intruder would try there."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from releve.drills.evidence import Evidence
from releve.ssh import Ssh
from releve.vault.site import CopyError, SenderHost
from releve.vault.wire import BLOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from releve.town import Town

ATTEMPT_SECONDS = 60
ONE_THING = "can do one thing"
_SSH = (
    "-F none -T -i /etc/releve/vault/id_ed25519 -o UserKnownHostsFile=/etc/releve/vault/known_hosts"
    " -o BatchMode=yes -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o ConnectTimeout=10"
)


class Console(Protocol):
    """Root at a host's own console, without any network."""

    def run(self, argv: Sequence[str], *, check: bool = True) -> tuple[int, str]:
        """Run a program there; return its exit code and what it printed."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Something that must be refused: a check's id, and the shell line that tries it on the node.

    `said` must be in what the refusal prints, so that a network that is down passes for nothing.
    """

    id: str
    line: str
    said: str


def attempts(vault: str, guest: str) -> list[Attempt]:
    """Return what is tried with the sender's key, as root of the sender."""
    receive = f"releve-receive@{vault}"
    by_ssh = {
        "shell-refused": "id",
        "read-refused": f"get {guest}",
        "list-refused": "list",
        "alter-refused": f"put {guest}/000001 vda",
        "delete-refused": f"delete {guest} 1",
        "traversal-refused": "put ../../etc vda",
        "verb-chain-refused": f"put {guest} vda; rm -rf /srv/vault",
        "grant-refused": f"grant {guest} --to pve1 --hours 1",
    }
    tried = [
        Attempt(id_, f"ssh {_SSH} {receive} {shlex.quote(command)} </dev/null", ONE_THING)
        for id_, command in by_ssh.items()
    ]
    options = _SSH.replace("-T ", "")
    files = f"{receive}:/srv/vault/copies"
    return [
        *tried,
        Attempt("terminal-refused", f"ssh {options} -tt {receive} </dev/null", "PTY allocation"),
        Attempt("scp-refused", f"scp -O {options} {files}/x /tmp/ </dev/null", ""),
        Attempt("sftp-refused", f"echo ls | sftp {options} -b - {receive}", ""),
        Attempt(
            "rsync-refused",
            f"ssh {_SSH} {receive} 'rsync --server --sender -logDtpre.iLsfxC . /srv/vault/copies'"
            " </dev/null",
            ONE_THING,
        ),
        Attempt(
            "forward-refused",
            f"(sleep 4; echo) | timeout 20 ssh {options} -W 127.0.0.1:22 {receive}",
            "",
        ),
        Attempt(
            "restore-without-grant-refused",
            f"ssh {_SSH} releve-restore@{vault} get </dev/null",
            "Permission denied",
        ),
        Attempt("root-login-refused", f"ssh {_SSH} root@{vault} id </dev/null", "denied"),
    ]


def copy_guests(
    town: Town,
    guests: Sequence[str],
    folder: Path,
    say: Callable[[str], None],
    console: Console | None = None,
) -> Evidence:
    """Copy guests, try the refusals, look at the seals if a console is at hand; write evidence."""
    assert town.vault is not None  # noqa: S101  # `guests_to_copy` looked
    senders = {
        town.guests[name].target: SenderHost.of(town, town.guests[name].target) for name in guests
    }
    copied = []
    with Evidence("copy", folder) as evidence:
        for name in guests:
            say(f"{name}: copying")
            if _copy(evidence, senders[town.guests[name].target], name, say):
                copied.append(name)
        for node in senders:
            first = next(name for name in guests if town.guests[name].target == node)
            say(f"{node}: trying what its key must not be able to do")
            _try_all(evidence, town, node, first)
        if console is not None:
            say("vault: looking at the seals")
            for name in copied:
                _look_at_seal(evidence, console, town, name)
    return evidence


def _copy(evidence: Evidence, sender: SenderHost, name: str, say: Callable[[str], None]) -> bool:
    evidence.event(name, "copy began")
    try:
        told = sender.copy(name)
    except CopyError as error:
        evidence.check(f"{name}.copied", passed=False, note=str(error))
        say(f"{name}: not copied: {error}")
        return False
    evidence.event(name, "disks frozen", told["frozen"])
    evidence.event(name, "copy sealed")
    say(f"{name}: copy {told['copy']}, {told['sent_blocks']} blocks sent ({told['how']})")
    evidence.check(f"{name}.copied", passed=True, value=told["seconds"], unit="s")
    evidence.check(
        f"{name}.blocks-stored",
        passed=int(told["stored_bytes"]) <= int(told["sent_blocks"]) * BLOCK,
        value=told["sent_blocks"],
        note=f"of 16 KiB; {told['how']}",
    )
    evidence.check(
        f"{name}.locked", passed=bool(told["lock_until"]), value=told["lock_until"], note="until"
    )
    witness = told["witness"] or {}
    evidence.check(
        f"{name}.witness",
        passed=bool(witness) or told["qemu"] is None,
        value=witness.get("record"),
        note="newest record just before the freeze",
    )
    return True


def _try_all(evidence: Evidence, town: Town, node: str, guest: str) -> None:
    assert town.vault is not None  # noqa: S101  # the caller looked
    ssh = Ssh.to(town, node)
    address = str(town.hosts[town.vault.host].address)
    for attempt in attempts(address, guest):
        done = ssh.run(attempt.line, timeout=ATTEMPT_SECONDS, check=False)
        said = f"{done.stdout} {done.stderr}"
        refused = done.returncode != 0 and attempt.said in said and "uid=" not in said
        # An answer of another ssh server through the forward would begin with its version.
        refused = refused and "SSH-2.0" not in done.stdout
        words = " ".join(said.split())[-160:].encode("ascii", "replace").decode()
        evidence.check(attempt.id, passed=refused, value=done.returncode, note=words)


def _look_at_seal(evidence: Evidence, console: Console, town: Town, name: str) -> None:
    """See at the vault, by stock tools, that the newest copy is sealed and is what it was."""
    assert town.vault is not None  # noqa: S101  # the caller looked
    node = town.guests[name].target
    parent = f"{town.vault.path}/copies/{node}/{name}"
    _code, listed = console.run(["ls", parent])
    copy = f"{parent}/{sorted(listed.split())[-1]}"
    flags = console.run(["lsattr", "-d", copy])[1] + console.run(["lsattr", copy])[1]
    lines = [line.split() for line in flags.splitlines() if line.strip()]
    read_only = console.run(["btrfs", "property", "get", "-ts", copy, "ro"])[1].strip()
    evidence.check(
        f"{name}.sealed",
        passed=bool(lines) and all("i" in words[0] for words in lines) and read_only == "ro=true",
        value=len(lines),
        note=f"files and folder immutable, subvolume {read_only}",
    )
    above = console.run(["lsattr", "-d", parent])[1].split()[0]
    evidence.check(f"{name}.folder-only-grows", passed="a" in above, value=above)
    for id_, argv in (
        ("overwrite-at-console-refused", ["sh", "-c", f"echo x >> {copy}/manifest.txt"]),
        ("delete-at-console-refused", ["rm", "-rf", copy]),
        ("subvolume-delete-refused", ["btrfs", "subvolume", "delete", copy]),
    ):
        code, said = console.run(argv, check=False)
        evidence.check(f"{name}.{id_}", passed=code != 0, value=code, note=said.strip()[-160:])
    # Last, so that it also says that none of these did anything.
    manifest = console.run(
        ["sh", "-c", f"cd {shlex.quote(copy)} && sha256sum --strict -c manifest.txt"], check=False
    )
    evidence.check(
        f"{name}.manifest-holds", passed=manifest[0] == 0, note=" ".join(manifest[1].split())[-160:]
    )
