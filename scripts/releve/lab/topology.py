"""The lab as one object: bring it up, reach its hosts, cut and give power, take it down."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import secrets
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from releve.command import run
from releve.errors import LaterError, ReleveError
from releve.lab import guests, keys, network, processes, vault_disk
from releve.lab.hosts import HostSpec, address_book, place, specs_of, write_files
from releve.lab.podman import containers, execute, files_of, podman
from releve.lab.sweep import VAULT_FOLDER, VAULT_IMAGE, sweep
from releve.lab.ups import measured
from releve.ssh import Ssh
from releve.town import Town, load_town
from releve.witness import Status

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Sequence
    from ipaddress import IPv4Address
    from pathlib import Path

READY_SECONDS = 90
# At most a hard limit that every machine has; without them podman asks for more and fails where
# CAP_SYS_RESOURCE is missing.
_LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096")


def name_of(root: Path) -> str:
    """Return the name of a checkout's lab: `rl-` and 8 hex digits of its path's hash."""
    return f"rl-{hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True)
class Lab:
    """The lab of one checkout; all state is outside this object."""

    root: Path
    name: str
    town: Town

    @classmethod
    def of(cls, root: Path) -> Lab:
        """Return the lab of a checkout, up or not."""
        root = root.resolve()
        return cls(root, name_of(root), load_town(root / "inventory" / "lab"))

    @property
    def state(self) -> Path:
        """The folder of this lab's files: keys, logs, disks, the UPS's world."""
        return self.root / "build" / "lab"

    @property
    def world(self) -> Path:
        """The UPS's world: outside the hosts, so that it outlives their power."""
        return self.state / "world"

    @property
    def logs(self) -> Path:
        """One file for each stage and process."""
        return self.state / "log"

    @property
    def identity(self) -> Path:
        """The workstation's private key; beside it the public one."""
        return self.state / "ssh" / "id"

    @property
    def known_hosts(self) -> Path:
        """The keys of all hosts that the lab made."""
        return self.state / "ssh" / "known_hosts"

    @property
    def login_key(self) -> str:
        """The workstation's public key."""
        return self.identity.with_suffix(".pub").read_text()

    def part(self, name: str) -> str:
        """Return the name that a host has in podman and as a namespace."""
        return f"{self.name}-{name}"

    def specs(self) -> dict[str, HostSpec]:
        """Return what the hosts of the town are."""
        return specs_of(self.town, self.state)

    # --- reach ------------------------------------------------------------------------------

    def workstation(self, argv: Sequence[str]) -> list[str]:
        """Return `argv` as it runs at the workstation's place in the lab's network."""
        return [*network.inside(self.part("ws")), *argv]

    def console(
        self,
        host: str,
        argv: Sequence[str],
        *,
        timeout: float = 60,
        check: bool = True,
        stdin: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program at a host's own console, as root; no network is needed."""
        return execute(self.part(host), argv, timeout=timeout, check=check, stdin=stdin)

    def ssh(
        self, host: str, command: str, *, timeout: float = 60, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell line on a host as the workstation does: over ssh, inside the lab."""
        argv = Ssh.to(self.town, host).argv(command)
        return run(self.workstation(argv), timeout=timeout, check=check)

    def ask(self, guest: str, seconds: float = 0) -> Status:
        """Return what a guest's witness says, asked from the workstation, within `seconds`.

        Raises CommandError with the witness's last refusal.
        """
        return Status(**json.loads(self._witness(guest, str(seconds), timeout=seconds + 30)))

    def deafen(self, guest: str) -> None:
        """Make a guest ignore its power button until it boots again."""
        self._witness(guest, "deaf", timeout=30)

    def _witness(self, guest: str, word: str, timeout: float) -> str:
        of = self.town.guests[guest]
        port = of.witness.port if of.witness else 0
        words = ("-m", "releve.witness", str(of.nics[0].address), str(port), word)
        return run(self.workstation([sys.executable, *words]), timeout=timeout).stdout

    def running(self, host: str) -> bool:
        """Say whether a host has power and has not halted."""
        said = podman(
            "inspect", "--format", "{{.State.Running}}", self.part(host), check=False
        ).stdout
        return said.strip() == "true"

    def await_ready(self, host: str, seconds: float = READY_SECONDS) -> float:
        """Wait until a host answers ssh; return the seconds. Raises ReleveError when it does not.

        A host without a login for the workstation is ready when it shows its host key.
        """
        spec = self.specs()[host]
        return await_ssh(self, self.part(host), spec.address, login=spec.login, seconds=seconds)

    # --- power ------------------------------------------------------------------------------

    def power_cut(self, host: str) -> None:
        """Take a host's power away: everything in it stops where it is; its disk stays."""
        podman("kill", "--signal", "KILL", self.part(host), check=False)
        deadline = time.monotonic() + 20
        while self.running(host):
            if time.monotonic() > deadline:
                message = f"{host}: still runs 20 s after its power was cut"
                raise ReleveError(message)
            time.sleep(0.05)

    def power_on(self, host: str) -> None:
        """Give a host its power back; it boots (see await_ready)."""
        network.drop_guest_ports(self.part(host))
        podman("start", self.part(host))

    # --- processes beside the hosts -----------------------------------------------------------

    def start_process(
        self, name: str, argv: Sequence[str], *, inside: bool = True
    ) -> processes.Mark:
        """Start a process of the lab that outlives this one, such as the UPS's battery.

        It lives in the workstation's namespace (unless not `inside`: one that drives podman),
        writes to `log/NAME.log`, and ends with the lab.
        """
        run_id = (self.state / "run-id").read_text().strip()
        folder = self.state / "processes"
        argv = self.workstation(argv) if inside else list(argv)
        return processes.start(name, argv, folder, self.logs / f"{name}.log", run_id)

    def stop_process(self, name: str) -> None:
        """End a process that `start_process` made; nothing happens when it has ended."""
        if mark := processes.noted(self.state / "processes").get(name):
            mark.end()

    # --- life -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep a second run of the same checkout out; raises LaterError when there is one."""
        file = self.root / "build" / "lab.lock"
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                message = f"{self.root}: another run of this checkout's lab is going on; wait"
                raise LaterError(message) from None
            yield

    def up(self, tell: Callable[[str], None]) -> None:
        """Sweep, make everything anew, start the hosts and wait until each answers ssh."""
        self.down()
        for net in self.town.networks.values():
            network.refuse_overlap(net.cidr)
        # The journals of moves speak of hosts that are gone.
        shutil.rmtree(self.root / "build" / "migrate", ignore_errors=True)
        self.state.mkdir(parents=True, exist_ok=True)
        (self.state / "run-id").write_text(secrets.token_hex(8) + "\n")
        passwords = self._make_keys()
        self.world.mkdir()
        self.world.chmod(0o777)  # written by NUT's own user inside a host
        vault_disk.make(self.state / VAULT_IMAGE, self.state / VAULT_FOLDER)
        specs = self.specs()
        self._make_network(specs)
        with ThreadPoolExecutor(max_workers=2) as pool:
            for _ in pool.map(lambda spec: self._make_host(spec, passwords), specs.values()):
                pass
        if self.town.ups:
            argv = [sys.executable, "-m", "releve.lab.ups", str(self.root)]
            self.start_process("ups", argv, inside=False)
        for host in specs:
            self.await_ready(host)
            if specs[host].repository:
                self.console(host, ["apt-get", "-qq", "update"])
            tell(f"{host} answers ssh at {self.town.hosts[host].address}")
        for host in self.town.hosts_of("old"):
            self.console(host, ["sh", "-c", guests.define_script(self.town, host)], timeout=120)
        for guest in self.town.guests:
            status = self.ask(guest, READY_SECONDS)
            tell(f"{guest} works: record {status.newest}, chain {status.chain}")

    def down(self) -> None:
        """Remove all that belongs to this lab, but its logs."""
        sweep(self.name, self.state)

    def is_up(self) -> bool:
        """Say whether the lab has hosts."""
        return bool(containers(f"{self.name}-"))

    def _make_keys(self) -> dict[str, str]:
        """Make all keys, secrets and records of this lab; return the secrets in clear."""
        town = self.town
        measured.put(town)
        keys.make_login_key(self.state / "ssh")
        for name, host in town.hosts.items():
            folder = self.state / "hosts" / name
            keys.make_host_key(folder, host.address, self.known_hosts)
        keys.make_authority(self.state / "tls")
        for name, host in town.hosts_of("node").items():
            keys.make_certificate(self.state / "tls", name, host.address, town.town.domain)
        return keys.make_secrets(town.secrets_file, town.folder / ".vault-key")

    def _make_network(self, specs: dict[str, HostSpec]) -> None:
        for net in self.town.networks.values():
            network.make_workstation(self.part("ws"), net.cidr)
        for name, spec in specs.items():
            net = self.town.networks[self.town.hosts[name].network]
            attachment = network.Attachment(spec.address, spec.bridge)
            network.make_host(self.part(name), self.part("ws"), name, net.cidr, attachment)

    def _make_host(self, spec: HostSpec, passwords: dict[str, str]) -> None:
        self.create(spec)
        with files_of(self.part(spec.name)) as tree:
            write_files(
                tree,
                spec,
                self.state / "hosts" / spec.name,
                self.login_key,
                address_book(self.town),
            )
            guests.write_disks(self.town, spec.name, tree)
            if self.town.hosts[spec.name].kind == "node":
                self._write_node_files(tree, spec.name, passwords)
        podman("start", self.part(spec.name))

    def _write_node_files(self, tree: Path, name: str, passwords: dict[str, str]) -> None:
        """Give a node its certificate where PVE keeps it, and the double root's password."""
        tls = self.state / "tls"
        place(tree / "etc/pve/pve-root-ca.pem", (tls / "ca.pem").read_text(), 0o644)
        place(tree / "etc/pve/local/pve-ssl.pem", (tls / f"{name}.pem").read_text(), 0o644)
        place(tree / "etc/pve/local/pve-ssl.key", (tls / f"{name}.key").read_text(), 0o600)
        password = passwords["pve_api_password"]
        place(tree / "etc/releve-lab/root-password", password + "\n", 0o600)

    def create(self, spec: HostSpec, hostname: str | None = None) -> None:
        """Make a host's container, without starting it; its namespace is there already."""
        podman(
            "create",
            "--quiet",
            "--pull=never",
            *("--name", self.part(spec.name), "--hostname", hostname or spec.name),
            "--systemd=always",
            *_LIMITS,
            *("--network", f"ns:{network.NETNS / self.part(spec.name)}", "--no-hosts"),
            *("--dns", "none"),
            *spec.options,
            spec.image,
            "/sbin/init",
        )


def await_ssh(
    lab: Lab, container: str, address: IPv4Address, *, login: bool, seconds: float = READY_SECONDS
) -> float:
    """Wait until a host answers ssh (with a login) or shows its key; return the seconds.

    Raises ReleveError with the last lines of its console when it does not.
    """
    begun = time.monotonic()
    way = Ssh(container, str(address), lab.town.ssh.user, Ssh.options_of(lab.town))
    argv = way.argv("true") if login else ["ssh-keyscan", "-T", "2", "-t", "ed25519", str(address)]
    while True:
        done = run(lab.workstation(argv), timeout=30, check=False)
        if done.returncode == 0 and (login or done.stdout):
            return time.monotonic() - begun
        if time.monotonic() - begun > seconds:
            said = podman("logs", "--tail", "5", container, check=False)
            message = (
                f"{container}: no answer on ssh after {seconds:g} s ({done.stderr.strip()}); "
                f"its console: {(said.stdout + said.stderr).strip()[-300:]}"
            )
            raise ReleveError(message)
        time.sleep(0.2)
