"""Read one guest of a libvirt host: everything in one log-in, nothing is changed."""

from __future__ import annotations

import base64
import json
import shlex
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from releve.blocks.errors import MonitorError
from releve.errors import ReleveError
from releve.migrate.exports import UNKNOWN_COMMAND
from releve.migrate.preflight.boot_files import BLKID_FILES, uuids_of
from releve.migrate.preflight.facts import DiskFacts, Firmware, Inside, Layer, SourceFacts
from releve.migrate.preflight.sections import MUTE, ask
from releve.migrate.sources.libvirt import parse_domain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from releve.migrate.preflight.sections import Answer
    from releve.ssh import Ssh

EXPORTS = "query-block-exports"
MONITOR = ("query-version", "query-block-jobs", EXPORTS, "query-block")
AGENT = ("guest-info", "guest-get-osinfo", "guest-network-get-interfaces", "guest-get-fsinfo")
FILES = (
    "/etc/fstab",
    "/etc/crypttab",
    "/proc/cmdline",
    "/boot/grub/device.map",
    "/proc/net/tcp",
    "/proc/net/tcp6",
    "/run/reboot-required",
    *BLKID_FILES,
)
LINK = "/etc/systemd/network/10-releve-&.link"  # as `prepare.sh` names it; & is the card's name
AGENT_SECONDS = 3
SAMPLE_SECONDS = 2
# The format is the definition's: a guest may write another one's header into its raw disk.
_DISKS = """\
formats=$(virsh -r -q dumpxml --inactive {name} | awk -F"'" '
  /<disk / {{ form = "raw" }}
  /<driver / {{ for (i = 1; i < NF; i++) if ($i ~ / type=$/) form = $(i + 1) }}
  /<target dev=/ {{ target = $2 }}
  /<\\/disk>/ {{ print target, form }}')
virsh -r -q domblklist --details {name} | while read -r type device target source; do
  [ "$device" = disk ] || continue
  form=$(printf '%s\\n' "$formats" | sed -n "s/^$target //p")
  printf '%s\\n' "$target"
  qemu-img info -U -f "${{form:-raw}}" --backing-chain --output=json "$source" 2>&1 | tr -d '\\n'
  printf '\\n'
done
"""
_USERS = """\
virsh -r -q list --all --name | while read -r other; do
  [ -n "$other" ] && [ "$other" != {name} ] || continue
  virsh -r -q domblklist --details --inactive "$other" | while read -r type device target source; do
    [ "$device" != disk ] || printf '%s\\t%s\\n' "$other" "$source"
  done
done
"""
_FIRMWARE = """\
virsh -r -q dumpxml {name} | sed -n 's:.*<nvram[^>]*>\\(.*\\)</nvram>.*:\\1:p' |
  while read -r file; do stat -c '%s %n' "$file" 2>/dev/null || echo "- $file"; done
"""
_WRITES = """\
virsh -r -q domstats --block {name}
printf '%s\\n' --
sleep {seconds}
virsh -r -q domstats --block {name}
"""
_AGENT_FILES = """\
say() {{ virsh -q qemu-agent-command --timeout {seconds} {name} "$1" 2>/dev/null; }}
virsh -r -q dumpxml {name} | grep -q "org.qemu.guest_agent.0'.*state='connected'" || exit 1
cards=$(say '{{"execute":"guest-network-get-interfaces"}}' | tr ',' '\\n' |
  sed -n 's/.*"name": *"\\([A-Za-z0-9_.-]*\\)".*/\\1/p' | sed 's|.*|{link}|')
for file in {files} $cards; do
  open='{{"execute":"guest-file-open","arguments":{{"path":"'$file'","mode":"r"}}}}'
  handle=$(say "$open" | sed -n 's/.*"return":\\([0-9]*\\).*/\\1/p')
  [ -n "$handle" ] || continue
  printf '%s\\t' "$file"
  say '{{"execute":"guest-file-read","arguments":{{"handle":'$handle',"count":65536}}}}'
  say '{{"execute":"guest-file-close","arguments":{{"handle":'$handle'}}}}' >/dev/null
done
"""


def questions(name: str, *, sample: bool) -> dict[str, str]:
    """Return what is asked of the old host about a guest; `sample` looks twice at its writes."""
    quoted = shlex.quote(name)
    asked = {
        "live": f"virsh -r -q dumpxml {quoted}",
        "inactive": f"virsh -r -q dumpxml --inactive {quoted}",
        "state": f"virsh -r -q domstate {quoted}",
        "info": f"virsh -r -q dominfo {quoted}",
        "snapshots": f"virsh -r -q snapshot-list --name {quoted}",
        "disks": _DISKS.format(name=quoted),
        "users": _USERS.format(name=quoted),
        "firmware": _FIRMWARE.format(name=quoted),
        "files": _AGENT_FILES.format(
            name=quoted, seconds=AGENT_SECONDS, files=" ".join(FILES), link=LINK
        ),
    }
    for command in MONITOR:
        words = shlex.quote(json.dumps({"execute": command}))
        asked[command] = f"virsh -q qemu-monitor-command {quoted} {words}"
    for command in AGENT:
        words = shlex.quote(json.dumps({"execute": command}))
        asked[command] = (
            f"virsh -q qemu-agent-command --timeout {AGENT_SECONDS} {quoted} {words} 2>/dev/null"
        )
    if sample:
        asked["writes"] = _WRITES.format(name=quoted, seconds=SAMPLE_SECONDS)
    return asked


def collect_guest(old: Ssh, name: str, *, sample: bool = False) -> tuple[SourceFacts | None, str]:
    """Return the guest as its host has it (None: not there), and why it could not be read."""
    try:
        return guest_of(name, ask(old, questions(name, sample=sample)))
    except ReleveError as error:
        return None, str(error)


def guest_of(name: str, answers: Mapping[str, Answer]) -> tuple[SourceFacts | None, str]:
    """Build the facts from the answers; pure."""
    inactive = answers["inactive"]
    if not inactive.good:
        gone = "failed to get domain" in inactive.text or "Domain not found" in inactive.text
        return None, "" if gone else f"virsh: {' '.join(inactive.text.split())}"
    try:
        definition = ET.fromstring(inactive.text)  # noqa: S314  # of a host that we move off
        domain = parse_domain(inactive.text, name)
    except (ET.ParseError, ReleveError) as error:
        return None, f"the definition of {name} is no XML that we know: {error}"
    fields = _pairs(answers["info"].text.splitlines(), ":")
    seen = SourceFacts(
        state=answers["state"].text.strip(),
        uuid=definition.findtext("uuid", ""),
        macs=tuple(one.get("address", "") for one in definition.iterfind("devices/interface/mac")),
        disks=tuple(_disks(definition, answers)),
        devices=tuple(sorted({child.tag for child in definition.iterfind("devices/*")})),
        snapshots=tuple(answers["snapshots"].text.split()) if answers["snapshots"].good else (),
        saved=fields.get("Managed save") == "yes",
        autostart=fields.get("Autostart") == "enable",
        acpi=definition.find("features/acpi") is not None,
        firmware=_firmware(answers["firmware"].text),
        domain=domain,
    )
    if not seen.running:
        return seen, ""
    seen = with_monitor(seen, lambda: _monitor_of(answers))
    return _with_agent(seen, answers), ""


def _pairs(lines: Iterable[str], separator: str) -> dict[str, str]:
    parts = (line.partition(separator) for line in lines)
    return {key.strip(): value.strip() for key, mark, value in parts if mark}


def _firmware(text: str) -> Firmware | None:
    size, _, file = text.strip().partition(" ")
    return Firmware(file, int(size) if size.isdigit() else None) if file else None


def _disks(definition: ET.Element, answers: Mapping[str, Answer]) -> Iterable[DiskFacts]:
    lines = answers["disks"].text.splitlines()
    chains = dict(zip(lines[::2], lines[1::2], strict=False))
    users = [line.partition("\t") for line in answers["users"].text.splitlines()]
    rates = write_rates(answers.get("writes", MUTE).text)
    for disk in definition.iterfind("devices/disk"):
        target = disk.find("target")
        if disk.get("device", "disk") != "disk" or target is None:
            continue
        source, driver = disk.find("source"), disk.find("driver")
        attributes = {} if driver is None else driver.attrib
        named = {} if source is None else source.attrib
        file = next((named[key] for key in ("file", "dev", "name", "volume") if key in named), "")
        name = target.get("dev", "")
        layers, error = layers_of(chains.get(name, ""))
        paths = {file, *(layer.file for layer in layers)} - {""}
        yield DiskFacts(
            name=name,
            bus=target.get("bus", ""),
            format=attributes.get("type", "raw"),
            file=file,
            layers=layers,
            error=error,
            cache=attributes.get("cache"),
            shareable=disk.find("shareable") is not None,
            readonly=disk.find("readonly") is not None,
            users=tuple(sorted({who for who, _tab, path in users if path in paths})),
            written=rates.get(name),
        )


def layers_of(said: str) -> tuple[tuple[Layer, ...], str]:
    """Return a disk's chain as `qemu-img info --backing-chain` tells it, or why it does not."""
    if not said:
        return (), ""
    try:
        rows = json.loads(said)
        layers = tuple(_layer(row) for row in rows)
    except (ValueError, KeyError, TypeError):
        return (), " ".join(said.split())[:200]
    return layers, ""


def _layer(row: dict[str, Any]) -> Layer:
    return Layer(
        file=row["filename"],
        format=row["format"],
        size=int(row["virtual-size"]),
        allocated=row.get("actual-size"),
        backing=row.get("backing-filename"),
        encrypted=bool(row.get("encrypted")),
        snapshots=len(row.get("snapshots", ())),
    )


def write_rates(said: str) -> dict[str, int]:
    """Return disk -> bytes written a second, from two samples of `virsh domstats --block`."""
    samples = []
    for part in said.split("\n--\n"):
        fields = _pairs(part.splitlines(), "=")
        names = {key.split(".")[1]: value for key, value in fields.items() if key.endswith(".name")}
        written = {
            name: int(fields[f"block.{number}.wr.bytes"])
            for number, name in names.items()
            if fields.get(f"block.{number}.wr.bytes", "").isdigit()
        }
        samples.append(written)
    if len(samples) != 2:  # noqa: PLR2004  # before and after
        return {}
    before, after = samples
    return {
        name: max(0, after[name] - before[name]) // SAMPLE_SECONDS
        for name in before.keys() & after.keys()
    }


def _monitor_of(answers: Mapping[str, Answer]) -> dict[str, Any]:
    """Return what QEMU answered to each of `MONITOR`; raises MonitorError when it did not."""
    said: dict[str, Any] = {}
    for command in MONITOR:
        try:
            said[command] = json.loads(answers[command].text)["return"]
        except (ValueError, KeyError, TypeError):
            if command == EXPORTS and UNKNOWN_COMMAND in answers[command].text:
                said[command] = []  # before 5.2 QEMU does not tell: the run finds out
                continue
            why = " ".join(answers[command].text.split())[:200] or "no answer"
            message = f"{command}: {why}"
            raise MonitorError(message) from None
    return said


def with_monitor(seen: SourceFacts, ask_monitor: Callable[[], dict[str, Any]]) -> SourceFacts:
    """Return the facts with what QEMU answers to each of `MONITOR`, or why it does not."""
    try:
        said = ask_monitor()
    except MonitorError as error:
        return replace(seen, monitor_error=str(error))
    version = said["query-version"]["qemu"]
    drives = [row["inserted"] for row in said["query-block"] if "inserted" in row]
    bitmaps = [
        bitmap.get("name", "") for drive in drives for bitmap in (drive.get("dirty-bitmaps") or ())
    ]
    return replace(
        seen,
        qemu=(int(version["major"]), int(version["minor"])),
        jobs=tuple(f"{job.get('type', 'job')} {job['device']}" for job in said["query-block-jobs"]),
        exports=tuple(row["id"] for row in said[EXPORTS]),
        bitmaps=tuple(name for name in bitmaps if name),
    )


def _with_agent(seen: SourceFacts, answers: Mapping[str, Answer]) -> SourceFacts:
    said: dict[str, Any] = {}
    for command in AGENT:
        try:
            said[command] = json.loads(answers[command].text)["return"]
        except (ValueError, KeyError, TypeError):
            continue
    if "guest-info" not in said:
        return replace(seen, agent=False)
    return replace(seen, agent=True, inside=inside_of(said, answers["files"].text))


def inside_of(said: Mapping[str, Any], files: str) -> Inside:
    """Build what the agent tells: `said` is command -> answer, `files` one line for each file."""
    system = said.get("guest-get-osinfo", {})
    rows = said.get("guest-get-fsinfo", [])
    cards = said.get("guest-network-get-interfaces", [])
    texts = dict(_texts(files))
    return Inside(
        os=str(system.get("pretty-name", system.get("name", ""))),
        os_id=str(system.get("id", "")),
        version=str(system.get("version-id", "")),
        kernel=str(system.get("kernel-release", "")),
        interfaces=tuple((card["name"], card.get("hardware-address", "")) for card in cards),
        free={
            row["mountpoint"]: row["total-bytes"] - row["used-bytes"]
            for row in rows
            if "total-bytes" in row and "used-bytes" in row
        },
        uuids=uuids_of(texts),
        files=texts,
    )


def _texts(files: str) -> Iterable[tuple[str, str]]:
    for line in files.splitlines():
        name, _, answer = line.partition("\t")
        try:
            data = json.loads(answer)["return"]["buf-b64"]
        except (ValueError, KeyError, TypeError):
            continue
        yield name, base64.b64decode(data).decode(errors="replace")
