"""Read an old host or a node: one log-in each, and the node's API; nothing is changed."""

from __future__ import annotations

import re
import shlex
import time
from typing import TYPE_CHECKING

from releve.command import run
from releve.errors import ReleveError
from releve.migrate.preflight.facts import (
    ApiFacts,
    Bridge,
    HostFacts,
    Present,
    StorageFacts,
)
from releve.migrate.preflight.sections import ask
from releve.migrate.pve import MARK
from releve.pve.client import Pve
from releve.pve.tokens import MIGRATE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from releve.migrate.preflight.sections import Answer
    from releve.ssh import Ssh
    from releve.town import Town

MAC = re.compile(r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}")
_BOTH = {
    "clock": "date +%s",
    "memory": "sed -n 's/^MemAvailable: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo",
    "cpu": "sed -n 's/^flags[^:]*: //p' /proc/cpuinfo | head -n 1",
    "bridges": 'for net in /sys/class/net/*; do echo "${net##*/} $(cat "$net/mtu" "$net/operstate"'
    " | tr '\\n' ' ')\"; done",
}
_OLD = {
    "dmesg": "said=$(dmesg) || exit 1; printf '%s\\n' \"$said\" |"
    " grep -iE 'i/o error|medium error|uncorrectable|failed command' || [ $? = 1 ]",
    "raid": "cat /proc/mdstat 2>/dev/null | grep -B 1 '\\[[U_]*_[U_]*\\]' || [ $? = 1 ]",
    "filesystems": 'set -- /sys/fs/ext4/*/errors_count; [ -e "$1" ] || exit 1;'
    ' for file do echo "$file $(cat "$file")"; done',
    "forwarding": "sshd -T 2>/dev/null | grep -iE '^allow(tcp|streamlocal)forwarding '",
}
_NODE = {
    "libnbd": "/usr/bin/python3 -c 'import nbd; print(nbd.NBD().get_version())'",
    "sshfs": "[ -c /dev/fuse ] && sshfs --version | grep -m 1 SSHFS",
    "busy": "ps -eo args | grep -E '^(task )?(UPID:.*:)?(vzdump|pvesr|zpool scrub)' ||"
    " [ $? = 1 ]; ! grep -oE '(resync|recovery|check|reshape) *=' /proc/mdstat 2>/dev/null;"
    " zpool status 2>/dev/null | grep -E 'scrub in progress|resilver in progress' || [ $? = 1 ]",
    "guests": "[ -d /etc/pve ] || exit 1; grep -rHE --include='*.conf'"
    " '^(net|scsi|virtio|sata|ide|efidisk|tpmstate|unused|rootfs|mp)[0-9]*:'"
    " /etc/pve/nodes/*/qemu-server /etc/pve/nodes/*/lxc /etc/pve/qemu-server 2>/dev/null ||"
    " [ $? -le 2 ]",
    "pools": "lvs --noheadings --separator ' ' -o vg_name,lv_name,data_percent,metadata_percent"
    " -S 'lv_attr=~^t' 2>/dev/null",
}

# Who is silent may still have the address, so its answer to ARP counts; but what the kernel keeps
# of one that has left counts only when its probes, which take some seconds, were answered.
_NEIGHBOUR = """\
ping -n -c 1 -W 1 {ip} >/dev/null 2>&1 && ip neigh show {ip} && exit 0
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
  case $(ip neigh show {ip}) in *STALE* | *DELAY* | *PROBE*) sleep 1 ;; *) break ;; esac
done
ip neigh show {ip} | sed /STALE/d"""


def collect_host(
    ssh: Ssh, *, node: bool, addresses: Iterable[str] = (), ups: Iterable[str] = ()
) -> HostFacts:
    """Read one host; `addresses` are looked for from a node, `ups` are asked there by name."""
    questions = {**_BOTH, **(_NODE if node else _OLD)}
    if addresses:
        questions["neighbours"] = neighbour_script(addresses)
    if ups:
        questions["ups"] = "\n".join(
            f"echo {shlex.quote(name)}: $(upsc {shlex.quote(name)} ups.status 2>/dev/null)"
            for name in ups
        )
    # What a question has to say of its failure is its exit code; stderr is no answer.
    questions = {name: f"exec 2>/dev/null\n{text}" for name, text in questions.items()}
    asked = time.time()
    try:
        answers = ask(ssh, questions)
    except ReleveError as error:
        return HostFacts(ssh.host, error=str(error))
    return host_of(ssh.host, answers, asked, time.time())


def host_of(host: str, answers: Mapping[str, Answer], asked: float, told: float) -> HostFacts:
    """Build the facts from the answers; the clock was read between `asked` and `told`."""
    good = {name: answer.text.strip() for name, answer in answers.items() if answer.good}
    stamp = good.get("clock", "")
    middle = (asked + told) / 2
    return HostFacts(
        host,
        # date gives whole seconds: half a second later is the best guess
        clock=int(stamp) + 0.5 - middle if stamp.isdigit() else None,
        clock_error=(told - asked) / 2 + 0.5,
        memory_available=int(good["memory"]) * 1024 if good.get("memory", "").isdigit() else None,
        cpu_flags=frozenset(good.get("cpu", "").split()),
        bridges=dict(_bridges(good.get("bridges", ""))),
        disk_errors=_lines(good, "dmesg"),
        degraded=tuple(line.split()[0] for line in _lines(good, "raid") or () if " : " in line),
        filesystem_errors=_counters(_lines(good, "filesystems")),
        forwarding=" ".join(line.split()[-1] for line in _lines(good, "forwarding") or ()) or None,
        busy=_lines(good, "busy"),
        libnbd=good.get("libnbd"),
        sshfs=good.get("sshfs"),
        ups={
            name: status
            for name, _, status in (line.partition(": ") for line in _lines(good, "ups") or ())
            if status
        },
        macs=dict(_macs(_lines(good, "guests") or ())) if "guests" in good else None,
        volumes=dict(_volumes(_lines(good, "guests") or ())),
        neighbours=dict(_neighbours(_lines(good, "neighbours") or ())),
        thin_pools=dict(_pools(_lines(good, "pools") or ())),
    )


def neighbour_script(addresses: Iterable[str]) -> str:
    """Return shell lines that print, as `ip neigh` does, who has each address."""
    return "\n".join(f"(\n{_NEIGHBOUR.format(ip=ip)}\n)" for ip in addresses)


def _lines(good: Mapping[str, str], name: str) -> tuple[str, ...] | None:
    return tuple(good[name].splitlines()) if name in good else None


def _bridges(text: str) -> Iterable[tuple[str, Bridge]]:
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[1].isdigit():  # noqa: PLR2004  # name, mtu, state
            yield words[0], Bridge(int(words[1]), words[2])


def _counters(lines: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if lines is None:
        return None
    pairs = [line.split() for line in lines]
    return tuple(f"{path.split('/')[-2]}: {count} errors" for path, count in pairs if count != "0")


def _macs(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        file, _, card = line.partition(":")
        for mac in MAC.findall(card):
            yield mac.lower(), file.rpartition("/")[2].removesuffix(".conf")


def _volumes(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        file, _, rest = line.partition(":")
        key, _, value = rest.partition(": ")
        if not key.startswith("net") and ":" in value.partition(",")[0]:
            yield value.partition(",")[0], file.rpartition("/")[2].removesuffix(".conf")


def _neighbours(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        words = line.split()
        if "lladdr" in words:
            yield words[0], words[words.index("lladdr") + 1].lower()


def _pools(lines: Iterable[str]) -> Iterable[tuple[str, tuple[float, float]]]:
    for line in lines:
        found = re.fullmatch(r"\s*(\S+) (\S+) ([\d.]+) ([\d.]+)\s*", line)
        if found:  # two groups may have a pool of one name
            yield f"{found[1]}/{found[2]}", (float(found[3]), float(found[4]))


def collect_api(town: Town, node: str, vmids: Iterable[int], storages: Iterable[str]) -> ApiFacts:
    """Ask a node's API with the migration's token."""
    try:
        pve = Pve.of(town, node, MIGRATE)
        version = str(pve.get("/version")["version"])
        guests = {
            int(row["vmid"]): Present(str(row.get("name", "")), _run_of(pve, node, row["vmid"]))
            for row in pve.get(f"/nodes/{node}/qemu")
        }
        known = {name: _storage(pve, node, name, vmids) for name in storages}
    except ReleveError as error:
        return ApiFacts(str(error))
    return ApiFacts("", version, guests, {name: one for name, one in known.items() if one})


def _run_of(pve: Pve, node: str, vmid: object) -> str:
    config = pve.get(f"/nodes/{node}/qemu/{vmid}/config")
    text = str(config.get("description", "")).strip()
    return text.removeprefix(MARK) if text.startswith(MARK) else ""


def _storage(pve: Pve, node: str, name: str, vmids: Iterable[int]) -> StorageFacts | None:
    at = f"/nodes/{node}/storage/{name}"
    try:
        status = pve.get(f"{at}/status")
        volumes = {
            vmid: tuple(str(row["volid"]) for row in pve.get(f"{at}/content", vmid=vmid))
            for vmid in vmids
        }
    except ReleveError:
        return None  # storage-takes-disks says that it is not there
    return StorageFacts(
        type=str(status.get("type", "")),
        content=tuple(str(status.get("content", "")).split(",")),
        active=bool(status.get("active")),
        free=int(status.get("avail", 0)),
        volumes=volumes,
    )


def pinned(addresses: Mapping[str, str], known_hosts: str | None) -> dict[str, bool]:
    """Return host -> whether its key is in known_hosts."""
    words = ["ssh-keygen", *(["-f", known_hosts] if known_hosts else [])]
    found = {}
    for host, address in addresses.items():
        said = run([*words, "-F", address], timeout=10, check=False).stdout
        found[host] = any(line and not line.startswith("#") for line in said.splitlines())
    return found
