"""Single hosts beside the town's, for one role's scenario: made in seconds, reached over ssh.

They hang on the same bridge as the town's hosts, at addresses that the town does not use; the
workstation's namespace is made when there is none.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from releve.errors import InputError, ReleveError
from releve.lab import keys, network, vault_disk
from releve.lab.hosts import Loan, spec_of, write_files
from releve.lab.podman import execute, files_of, podman, remove
from releve.lab.topology import await_ssh

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ipaddress import IPv4Address, IPv4Network
    from pathlib import Path

    from releve.lab.topology import Lab

FIRST, LAST = 30, 99  # of the last octet; the town's hosts and guests are below


class Wish(BaseModel):
    """What a scenario wants of a host: its entry in `molecule/NAME/lab.yml`.

    `image`: host, or node (QEMU baked in). `disk`: where the host gets a btrfs of its own, with
    the right to seal files. `ups`: the lab's UPS hangs on it. `double`: it answers as PVE.
    `bridge`: it has guests, on this bridge.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: str = "host"
    disk: str | None = None
    ups: bool = False
    double: bool = False
    bridge: str | None = None


class Scenario(BaseModel):
    """`lab.yml` beside a scenario's molecule.yml: its hosts by their name in the inventory."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hosts: dict[str, Wish] = {"target": Wish()}


@dataclass(frozen=True, slots=True)
class Extra:
    """A host that was made: `name` is unique in the lab, `address` is reached from there."""

    name: str
    address: IPv4Address
    variables: dict[str, Any]


def scenario_of(folder: Path) -> Scenario:
    """Return what a scenario's folder asks for; raises InputError for a key that does not exist."""
    file = folder / "lab.yml"
    if not file.exists():
        return Scenario()
    try:
        return Scenario.model_validate(yaml.safe_load(file.read_text()) or {})
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        message = f"{file}: {where}: {fault['msg']}"
        raise InputError(message) from None


def ensure_workstation(lab: Lab) -> None:
    """Make the workstation's namespace and key where there are none; needs no host of the town."""
    with _locked(lab):
        _make_workstation(lab)


def up(lab: Lab, name: str, wish: Wish, alias: str | None = None) -> Extra:
    """Make one host, wait for its ssh and return how to reach it; one of that name is replaced.

    `alias` is its own host name (default: `name`). Raises ReleveError when no address is free.
    """
    down(lab, name)
    net = next(iter(lab.town.networks.values()))
    folder = _folder(lab, name)
    with _locked(lab):
        _make_workstation(lab)
        address = _free_address(lab, net.cidr)
        folder.mkdir(parents=True)
        (folder / "address").write_text(f"{address}\n")
        keys.make_host_key(folder / "keys", address, lab.known_hosts)
    if wish.disk:
        vault_disk.make(folder / "disk.btrfs", folder / "disk")
    if wish.ups:
        (folder / "world").mkdir()
        (folder / "world").chmod(0o777)  # written by NUT's own user inside the host
    loan = Loan(
        wish.image,
        world=folder / "world" if wish.ups else None,
        disk=(folder / "disk", wish.disk) if wish.disk else None,
        bridge=wish.bridge,
        double=wish.double,
    )
    spec = spec_of(name, address, loan)
    attachment = network.Attachment(address, wish.bridge)
    network.make_host(lab.part(name), lab.part("ws"), name, net.cidr, attachment)
    lab.create(spec, alias or name)
    book = (
        f"127.0.0.1 localhost\n{address} {alias or name}.{lab.town.town.domain} {alias or name}\n"
    )
    with files_of(lab.part(name)) as tree:
        write_files(tree, spec, folder / "keys", lab.login_key, book)
    podman("start", lab.part(name))
    variables = _variables(lab, address)
    await_ssh(lab, lab.part(name), address, login=True)
    if spec.repository:
        execute(lab.part(name), ["apt-get", "-qq", "update"])
    return Extra(name, address, variables)


def down(lab: Lab, name: str) -> None:
    """Remove one host and all that was lent to it; nothing happens when there is none."""
    remove(lab.part(name))
    if lab.part(name) in network.namespaces(lab.part(name)):
        network.delete(lab.part(name))
    folder = _folder(lab, name)
    vault_disk.unmount(folder / "disk.btrfs", folder / "disk")
    if folder.exists():
        shutil.rmtree(folder)


def name_in(scenario: str, host: str) -> str:
    """Return the name in the lab of a scenario's host: two scenarios never meet."""
    return f"x-{scenario}-{host}".replace("_", "-")


def scenario_up(lab: Lab, scenario: str, folder: Path, inventory: Path) -> None:
    """Make all hosts of a scenario and write them as an Ansible inventory, for `hosts: all`."""
    made = {}
    for host, wish in scenario_of(folder).hosts.items():
        made[host] = up(lab, name_in(scenario, host), wish, alias=host)
    inventory.parent.mkdir(parents=True, exist_ok=True)
    hosts = {host: extra.variables for host, extra in made.items()}
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}, indent=1))
    book = "".join(f"{extra.address} {host}\n" for host, extra in made.items())
    for extra in made.values():
        execute(lab.part(extra.name), ["sh", "-c", "cat >> /etc/hosts"], stdin=book)


def scenario_down(lab: Lab, scenario: str, folder: Path) -> None:
    """Remove all hosts of a scenario."""
    for host in scenario_of(folder).hosts:
        down(lab, name_in(scenario, host))


def _variables(lab: Lab, address: IPv4Address) -> dict[str, Any]:
    """Return how Ansible reaches a host; Molecule ignores our ansible.cfg, so all is said here."""
    return {
        "ansible_host": str(address),
        "ansible_user": lab.town.ssh.user,
        "ansible_ssh_private_key_file": str(lab.identity),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={lab.known_hosts} -o BatchMode=yes",
        "ansible_ssh_args": "-o ControlMaster=auto -o ControlPersist=60s",
        "ansible_ssh_pipelining": True,
        "ansible_control_path_dir": f"~/.ansible/cp/{lab.name}",
        "ansible_python_interpreter": "/usr/bin/python3",
    }


def _folder(lab: Lab, name: str) -> Path:
    return lab.state / "extra" / name


def _make_workstation(lab: Lab) -> None:
    if not lab.identity.exists():
        keys.make_login_key(lab.identity.parent)
    if lab.part("ws") in network.namespaces(lab.name):
        return  # and perhaps we are in it: then its routes are our own
    for net in lab.town.networks.values():
        network.refuse_overlap(net.cidr)
        network.make_workstation(lab.part("ws"), net.cidr)


def _free_address(lab: Lab, cidr: IPv4Network) -> IPv4Address:
    taken = {file.read_text().strip() for file in (lab.state / "extra").glob("*/address")}
    free = [cidr[number] for number in range(FIRST, LAST + 1) if str(cidr[number]) not in taken]
    # One that was never given comes first: others still look for its last owner by its old MAC.
    known = {line.split()[0] for line in lab.known_hosts.read_text().splitlines()}
    for address in sorted(free, key=lambda one: str(one) in known):
        return address
    message = f"no free address from {cidr[FIRST]} to {cidr[LAST]}: remove hosts (host-down NAME)"
    raise ReleveError(message)


@contextlib.contextmanager
def _locked(lab: Lab) -> Iterator[None]:
    lab.state.mkdir(parents=True, exist_ok=True)
    with (lab.state / "extra.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
