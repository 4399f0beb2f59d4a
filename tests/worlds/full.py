"""Hosts of a world that are whole systems: systemd containers, the roles applied by Ansible.

They stay while one world after another runs on them, as the hosts of a site live through many
cuts; the power side, its events and the verdict are those of the light worlds.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.worlds import switch
from tests.worlds.hosts import INSIDE, Hosts
from tests.worlds.site import variables_of
from tests.worlds.switch import Switch

from releve.command import CommandError, run
from releve.lab import images, keys, network
from releve.lab.hosts import Loan, keep_mounted, place, spec_of, write_files
from releve.lab.podman import containers, files_of, podman, remove
from releve.lab.topology import Lab
from releve.lab.ups.__main__ import Processes, Starter
from releve.lab.ups.battery import Battery
from releve.lab.ups.machines import Containers
from releve.lab.ups.world import Journal, World
from releve.town import load_town

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.worlds.site import Host, Site

ROOT = Path(__file__).parents[2]
UNITS = INSIDE / "full"
SHARED_MOUNT, INSIDE_MOUNT = "/run/releve-host", "/usr/lib/releve-world"
JOURNAL_MOUNT = "/var/log/journal"
BOOT_SECONDS = 90.0
INSTALL_SECONDS = 300.0
PLAY_SECONDS = 900.0
BEAT = 0.2  # seconds
CONFIGURATION = """\
[defaults]
roles_path = {root}/roles
interpreter_python = /usr/bin/python3
retry_files_enabled = false
forks = 10
[ssh_connection]
pipelining = true
ssh_args = -o ControlMaster=auto -o ControlPersist=5s
"""


@dataclass(slots=True)
class FullHosts(Hosts):
    """All hosts of a place as containers; `folder` is what they are lent, and lasts."""

    ended: threading.Event = field(default_factory=threading.Event)
    lab: Lab = field(init=False)
    pids: Processes = field(init=False)
    starter: Starter = field(init=False)

    def __post_init__(self) -> None:
        """Name them as a lab would: a container has its network namespace's name."""
        self.lab = Lab(ROOT, self.switch.name, load_town(ROOT / "inventory" / "lab"))
        self.starter = Starter(self.lab)

    def look(self) -> None:
        """Look at containers that were made, from now on."""
        self.pids = Processes(self.lab, tuple(self.site.addresses), self.ended)
        self.view = Containers(self.pids, self.kill, self.start_later)

    def prepare(self) -> None:
        """Leave them as they are: they were made with the place."""

    def shared(self, host: str) -> Path:
        """Return the folder in which a host tells what happens."""
        return self.folder / "hosts" / host

    def start(self, host: str) -> None:
        """Start a host, unless it runs."""
        if not self.lab.running(host):
            self.starter(host)

    def pid_of(self, host: str) -> int | None:
        """Return the number of a host's systemd as this machine counts it."""
        return self.pids(host)

    def kill(self, host: str) -> None:
        """Take its power."""
        self.lab.power_cut(host)

    def inside(self, host: str, *argv: str) -> str:
        """Run a program on a host; return what it says."""
        try:
            done = self.lab.console(host, argv, check=False)
        except CommandError as error:
            return str(error)
        return (done.stdout + done.stderr).strip()

    def end(self) -> None:
        """Remove all of them."""
        self.ended.set()
        for host in self.site.addresses:
            remove(self.lab.part(host))

    def make(self, host: Host, login_key: str, keys_folder: Path, names: str) -> None:
        """Make a host's container from the lab's image, without NUT: the role installs it."""
        shared = self.shared(host.name)
        shared.mkdir(parents=True)
        shared.chmod(0o777)
        journal = self.folder / "journal" / host.name  # podman's own is gone with the power
        journal.mkdir(parents=True)
        cable = self.folder / "ups" if host.name == self.site.primary else None
        spec = spec_of(host.name, IPv4Address(host.address), Loan("host", world=cable, fed=True))
        lent = (
            (shared, SHARED_MOUNT, "rw"),
            (journal, JOURNAL_MOUNT, "rw"),
            (INSIDE, INSIDE_MOUNT, "ro"),
        )
        more = [word for one in lent for word in ("--volume", ":".join(map(str, one)))]
        self.lab.create(dataclasses.replace(spec, options=(*spec.options, *more)))
        with files_of(self.lab.part(host.name)) as tree:
            write_files(tree, spec, keys_folder, login_key, names)
            _write_witness(tree, host)
        podman("start", self.lab.part(host.name))


def _write_witness(tree: Path, host: Host) -> None:
    """Put into a host's tree what tells when it boots and stops, and what plays its guests."""
    about = {"name": host.name, "guests": [asdict(guest) for guest in host.guests]}
    place(tree / "etc/releve-world.json", json.dumps(about), 0o644)
    place(tree / "etc/hostname", f"{host.name}\n", 0o644)
    hook = UNITS / "world-down"
    place(tree / "usr/lib/systemd/system-shutdown" / hook.name, hook.read_text(), 0o755)
    for mount in (SHARED_MOUNT, INSIDE_MOUNT):
        keep_mounted(tree, mount)
    for unit in sorted(UNITS.glob("*.service")):
        if unit.stem == "pve-guests" and not host.guests:
            continue
        text = unit.read_text()
        folder = tree / "etc/systemd/system"
        place(folder / unit.name, text, 0o644)
        wants = folder / f"{text.rpartition('WantedBy=')[2].strip()}.wants"
        wants.mkdir(parents=True, exist_ok=True)
        (wants / unit.name).symlink_to(f"../{unit.name}")


@dataclass(slots=True)
class Place:
    """A site of containers on which worlds run one after another; `folder` is made anew.

    `packages`: what a host has beside what its role installs.
    """

    site: Site
    folder: Path
    number: int
    packages: Mapping[str, Sequence[str]] = field(default_factory=dict)
    hosts: FullHosts = field(init=False)

    def __post_init__(self) -> None:
        """Put the parts together; nothing is made yet."""
        cables = Switch.of(self.number, self.site.addresses)
        journal = Journal(self.folder / "events.jsonl")
        self.hosts = FullHosts(self.site, self.folder, Path(), cables, journal)

    @property
    def ups(self) -> Path:
        """The folder of the UPSes: one host is lent it, as its cable."""
        return self.folder / "ups"

    @contextmanager
    def up(self) -> Iterator[Place]:
        """Give the site with its roles applied, and take it away.

        Raises CommandError with Ansible's last words when a role fails.
        """
        shutil.rmtree(self.folder, ignore_errors=True)
        self.ups.mkdir(parents=True)
        self.ups.chmod(0o777)
        try:
            self.hosts.switch.make()
            self._make_hosts()
            self.hosts.look()
            with self._fed():
                self._await_hosts()
                self._apply()
            yield self
        finally:
            self._remove()

    def _make_hosts(self) -> None:
        known = self.folder / "ssh" / "known_hosts"
        login_key = keys.make_login_key(known.parent)
        names = "127.0.0.1 localhost\n"
        names += "".join(f"{address} {name}\n" for name, address in self.site.addresses.items())
        for host in self.site.hosts:
            own = self.folder / "keys" / host.name
            keys.make_host_key(own, IPv4Address(host.address), known)
            self.hosts.make(host, login_key, own, names)

    @contextmanager
    def _fed(self) -> Iterator[None]:
        """Let the UPSes speak meanwhile, mains present."""
        worlds = [
            World(
                ups=ups,
                folder=self.ups,
                machines=self.hosts.view,
                journal=self.hosts.journal,
                battery=Battery(self.site.capacity),
                fed=tuple(self.site.addresses),
                low_battery_seconds=self.site.low_battery,
            )
            for ups in self.site.ups
        ]
        for world in worlds:
            world.prepare()
        over = threading.Event()

        def beat() -> None:
            while not over.wait(BEAT):
                for world in worlds:
                    world.tick(time.monotonic(), BEAT, [])

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def at_the_switch(self, *argv: str) -> list[str]:
        """Return a command as it runs in the site's network, outside of all hosts."""
        return [*network.inside(self.hosts.switch.name), *argv]

    def _await_hosts(self) -> None:
        begun = time.monotonic()
        for host in self.site.hosts:
            argv = self.at_the_switch("ssh-keyscan", "-T", "2", "-t", "ed25519", host.address)
            while not run(argv, timeout=30, check=False).stdout:
                if time.monotonic() - begun > BOOT_SECONDS:
                    raise CommandError(argv, f"{host.name} has not booted in {BOOT_SECONDS:.0f} s")
                time.sleep(0.5)
            self.hosts.lab.console(host.name, ["apt-get", "-qq", "update"])
            if packages := self.packages.get(host.name):
                words = ["apt-get", "-qqy", "install", *packages]
                self.hosts.lab.console(host.name, words, timeout=INSTALL_SECONDS)

    def _apply(self) -> None:
        """Apply the roles with their playbook; what Ansible says is kept beside the inventory."""
        (self.folder / "ansible.cfg").write_text(CONFIGURATION.format(root=ROOT))
        inventory = self.folder / "hosts.yml"
        keys.write_private(inventory, json.dumps(self.inventory(), indent=1))
        program = Path(sys.executable).with_name("ansible-playbook")
        argv = [str(program), "-i", str(inventory), str(ROOT / "playbooks/power.yml")]
        env = os.environ | {
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self._control),
        }
        done = run(self.at_the_switch(*argv), timeout=PLAY_SECONDS, check=False, env=env)
        (self.folder / "ansible.log").write_text(done.stdout + done.stderr)
        if done.returncode != 0:
            raise CommandError(argv, f"{self.folder}/ansible.log: {done.stdout[-2000:]}")

    @property
    def _control(self) -> Path:
        return Path("/tmp", self.hosts.switch.name)  # noqa: S108  # a socket's path is short

    def inventory(self) -> dict[str, Any]:
        """Return a plain inventory: what the light worlds tell the roles, and TLS."""
        hosts: dict[str, dict[str, Any]] = {}
        for host in self.site.hosts:
            variables = variables_of(self.site, host)
            variables |= {name: True for name in variables if name.endswith("_tls")}
            hosts[host.name] = variables | {
                "ansible_host": host.address,
                "ansible_user": "root",
                "ansible_ssh_private_key_file": str(self.folder / "ssh" / "id"),
                "ansible_ssh_common_args": f"-o UserKnownHostsFile={self.folder}/ssh/known_hosts",
            }
        primary = self.site.primary
        return {
            "nut_primaries": {"hosts": {primary: hosts.pop(primary)}},
            "nut_secondaries": {"hosts": hosts},
        }

    def _remove(self) -> None:
        with suppress(CommandError):
            self.hosts.end()
        for pid in network.processes(self.hosts.switch.name):  # ssh, which waits for more to do
            with suppress(ProcessLookupError):
                os.kill(pid, 15)
        shutil.rmtree(self._control, ignore_errors=True)
        self.hosts.switch.remove()


def sweep() -> None:
    """Remove the containers of runs whose process is gone, then their namespaces."""
    for name in containers(switch.PREFIX):
        pid = name.removeprefix(switch.PREFIX).partition("-")[0]
        if not Path("/proc", pid).exists():
            remove(name)
    switch.sweep()


def ensure_images() -> None:
    """Build the image of the hosts where the cache lacks it."""
    images.ensure(lambda line: print(line, file=sys.stderr), (images.IMAGES["host"],))  # noqa: T201  # progress
