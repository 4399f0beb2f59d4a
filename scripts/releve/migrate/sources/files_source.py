"""A stopped guest's image files, of any format: copied as they rest, then compared by hashes.

They lie on a host that ssh reaches (or on the node itself); the node reads them by `qemu-nbd`.
Whoever ran the guest is not known here: a person stops it there, and starts it there again. While
it works, what is `frozen` of its disks is copied; what that misses, the comparison finds.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from typing import TYPE_CHECKING

from releve.blocks import nbd_uri
from releve.blocks.hashes import SCRIPT
from releve.command import CommandError
from releve.migrate.errors import MigrateError, PowerButtonError
from releve.migrate.images import ova
from releve.migrate.images.chain import inspect
from releve.migrate.images.graph import graph, refuse_differencing
from releve.migrate.images.model import SECTOR, ImageError
from releve.migrate.images.readers import SshReader
from releve.migrate.rest import READERS, Rest
from releve.migrate.sources.base import SourceDisk, SourceGuest
from releve.migrate.sources.files_fence import fenced, refuse_nameless, renames
from releve.migrate.sources.files_state import state_of
from releve.migrate.sources.mount import Mount, MountOpener
from releve.ssh import Ssh

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.migrate.images.model import Layer
    from releve.migrate.sources.base import Mark, Rung
    from releve.migrate.sources.files_state import FilesState
    from releve.town import Town

BLOCK = 1 << 20  # of the list of hashes; a whole number of the manifest's blocks
_SERVE = """\
rm -f {socket}
qemu-nbd --fork --persistent --shared={readers} --read-only --export-name={name} \\
  --pid-file={pid} --socket={socket} {image}
"""
_TOOLS = (
    "command -v dd >/dev/null && command -v mktemp >/dev/null"
    " && { command -v sha256sum || command -v openssl; } >/dev/null"
)


class FilesSource:
    """See `base.Source`. `disks` are the guest's, each with its file on the host `mount.old`."""

    rung: Rung = "hash-delta"

    def __init__(
        self,
        name: str,
        mount: Mount,
        disks: tuple[SourceDisk, ...],
        frozen: tuple[SourceDisk, ...] = (),
        macs: tuple[str, ...] = (),
    ) -> None:
        """`name` is for sentences; `macs` are what the town file says, files do not know them.

        `frozen` is what may be read of all disks while the guest works, () for nothing.
        """
        self.name, self.mount, self.ssh = name, mount, mount.old
        self._disks, self._frozen, self._macs = disks, frozen, macs
        self._layers: dict[str, Layer] = {}
        self._sizes: dict[str, int] = {}
        self._served: FilesState | None = None

    @classmethod
    def of(cls, town: Town, name: str, run: str) -> FilesSource:
        """Return the source of a guest whose disks have a `file` in the town file."""
        guest = town.guests[name]
        disks = tuple(SourceDisk(d.name, "", d.format, str(d.file)) for d in guest.disks)
        frozen = tuple(
            SourceDisk(d.name, "", d.frozen.format or d.format, str(d.frozen.file))
            for d in guest.disks
            if d.frozen
        )
        known = town.path(town.ssh.known_hosts_file) if town.ssh.known_hosts_file else None
        node, old = (Ssh.to(town, host).kept() for host in (guest.target, guest.source))
        mount = Mount(node, old, run, known)
        return cls(name, mount, disks, frozen, tuple(nic.mac for nic in guest.nics))

    @property
    def layers(self) -> dict[str, Layer]:
        """Disk -> its image, as `look` has seen it."""
        return dict(self._layers)

    @property
    def frozen(self) -> dict[str, str]:
        """Disk -> the file that may be read while the guest works."""
        return {disk.name: disk.file for disk in self._frozen}

    @property
    def host(self) -> str:
        """See `base.Source`."""
        return self.ssh.host

    def look(self) -> SourceGuest | None:
        """See `base.Source`; it runs when anybody may write to a file. None: its files are fenced.

        Raises ImageError for a file that is not there or cannot be copied as it is.
        """
        reader, own = SshReader(self.ssh), self._own()
        if not any(reader.exists(file) for file in own):
            if any(reader.exists(fenced(file)) for file in own):
                return None
            reader.size(own[0])  # says that it is not there, and what to do
        works = self.works()
        if not self._layers:
            self._inspect(self._frozen)
        state = "running" if works else "shut off"
        return SourceGuest(
            name=self.name,
            uuid="",
            id=None,
            state=state,
            autostart=False,
            managed_save=False,
            snapshots=(),
            definition="",
            disks=self._disks,
            macs=self._macs,
            nvram=None,
            devices=(),
            owner=None,
        )

    def works(self) -> str:
        """Look at the images; say why the guest seems to work, "" when they rest.

        Its images need not be readable while it does, when something of them is frozen.
        """
        try:
            self._inspect(self._disks)
        except ImageError as error:
            if not self._frozen:
                raise
            self._layers = {}
            return str(error)
        return next(iter(self._state().writers), "")

    def ready(self, label: str, number: int) -> bool:
        """See `base.Source`; raises MigrateError while anybody may write to what is to be read."""
        del label, number
        if why := self.works():
            self._thaw(why)
        self._sizes = self.sizes()
        self._serve()
        return False

    def _thaw(self, why: str) -> None:
        """Read what is frozen: the guest works."""
        if not self._frozen:
            message = (
                f"{self.host}: {self.name} works ({why}); its files are read at rest: stop it"
                " there, or name in the town file what is `frozen` of each disk"
            )
            raise MigrateError(message)
        known = self.sizes()
        self._inspect(self._frozen)
        for name, size in self.sizes().items():
            if known.get(name, size) != size:
                message = (
                    f"{self.host}: what is frozen of disk {name} has {size} bytes, the disk has"
                    f" {known[name]}: it is of another disk, or older than its growth; take it anew"
                )
                raise ImageError(message)
        self.check_rest()

    def check_rest(self) -> None:
        """Raise MigrateError while anybody may write to the files that were looked at."""
        if writers := self._state().writers:
            message = f"{self.host}: {self.name}: {writers[0]}; its files are read at rest"
            raise MigrateError(message)

    def begin(self, label: str) -> None:
        """See `base.Source`: nothing records writes here."""

    def sizes(self) -> dict[str, int]:
        """See `base.Source`."""
        return {name: -(-layer.size // SECTOR) * SECTOR for name, layer in self._layers.items()}

    def rotate(self, number: int) -> None:
        """See `base.Source`."""

    def dirty(self) -> int | None:
        """See `base.Source`: unknown."""
        return None

    def bitmap(self, number: int) -> str:
        """See `base.Source`; raises MigrateError, for there is none."""
        message = f"{self.name}: files have no bitmap of round {number}"
        raise MigrateError(message)

    def uri(self, disk: str, number: int | None = None) -> str:
        """See `base.Source`."""
        del number
        return nbd_uri(f"{self.mount.folder}/{Rest.socket(disk)}", disk)

    def withdraw(self, disk: str) -> None:
        """See `base.Source`."""

    def drop(self, number: int) -> None:
        """See `base.Source`."""

    def power_off(self, seconds: int) -> None:
        """See `base.Source`: only a person can; raises PowerButtonError while it works."""
        del seconds
        if why := self.works():
            message = f"{self.host}: {self.name} works ({why}); stop it there, then run again"
            raise PowerButtonError(message)
        for name, size in self.sizes().items():
            if self._sizes.get(name, size) != size:
                message = (
                    f"{self.host}: disk {name} of {self.name} has {size} bytes, what was frozen of"
                    f" it {self._sizes[name]}; run again: everything is copied anew"
                )
                raise MigrateError(message)
        self._serve()

    def hashes(self, disk: str) -> Iterator[bytes] | None:
        """See `base.Source`: for raw and flat images of a host with a shell and its tools."""
        layer = self._layers[disk]
        if layer.flat is None or not self.can_hash(disk):
            return None
        return _hashes(self.ssh, layer.flat.file, layer.size)

    def can_hash(self, disk: str) -> bool:
        """Say whether the host can hash what the guest sees of that disk."""
        layer = self._layers[disk]
        flat = layer.flat
        if flat is None or flat.offset or self.mount.here or layer.size % SECTOR:
            return False
        longer = SshReader(self.ssh).size(flat.file) > layer.size
        if longer and layer.size % BLOCK:
            return False
        return self.ssh.run(_TOOLS, check=False).returncode == 0

    def firmware(self) -> bytes | None:
        """See `base.Source`: files of disks have none."""
        return None

    def release(self) -> None:
        """See `base.Source`; raises MigrateError when the files changed since `power_off`."""
        self._unchanged()

    def mark(self) -> Mark:
        """See `base.Source`: the files that are given another name, and what may be wiped once."""
        disks = [{"name": d.name, "format": d.format, "file": d.file} for d in self._disks]
        return {"files": list(self._own()), "disks": disks, "left": self._left()}

    def _left(self) -> list[dict[str, str]]:
        """Return the files of each disk's newest layer, by their names behind the fence.

        What it is based on is left out: other guests may be based on that too.
        """
        try:
            layers = self._looked(self._disks)
        except ImageError:  # it works: this cutover will not come to a fence
            return []
        found: dict[str, dict[str, str]] = {}
        for name, layer in layers.items():
            more = [layer.data_file, *(piece.file for piece in layer.pieces)]
            for file in (fenced(layer.place.file), *filter(None, more)):
                found.setdefault(file, {"name": name, "file": file})
        return list(found.values())

    def fence(self, mark: Mark) -> None:
        """See `base.Source`: the newest layer of each disk gets another name beside it."""
        self._end()
        self.ssh.run(renames([(file, fenced(file)) for file in mark["files"]]))

    def fenced(self, mark: Mark) -> bool:
        """See `base.Source`."""
        reader = SshReader(self.ssh)
        return not any(reader.exists(file) for file in mark["files"])

    def unfence(self, mark: Mark) -> None:
        """See `base.Source`."""
        self._end()
        self.ssh.run(renames([(fenced(file), file) for file in mark["files"]]))

    def start(self) -> str:
        """See `base.Source`: nothing is held; a person starts it where it ran."""
        return (
            f"start it yourself, where it ran: its files are at {self.host} as they were:"
            f" {', '.join(self._own())}"
        )

    def at_rest(self, mark: Mark) -> None:
        """See `base.Source`."""
        disks = [
            SourceDisk(disk["name"], "", disk["format"], fenced(disk["file"]))
            for disk in mark["disks"]
        ]
        self._inspect(tuple(disks))
        self.check_rest()
        self._serve()

    def close(self) -> None:
        """See `base.Source`."""
        self._end()
        self.mount.close()

    def _own(self) -> tuple[str, ...]:
        """Return the file of each disk; that of an archive once."""
        files = [(ova.split(disk.file) or (disk.file, ""))[0] for disk in self._disks]
        return tuple(dict.fromkeys(files))

    def _looked(self, disks: tuple[SourceDisk, ...]) -> dict[str, Layer]:
        reader = SshReader(self.ssh)
        return {d.name: inspect(reader, d.file, d.format) for d in disks}

    def _inspect(self, disks: tuple[SourceDisk, ...]) -> None:
        self._layers = self._looked(disks)
        for layer in self._layers.values():
            refuse_differencing(layer, self.host)
        refuse_nameless(
            self.ssh, [layer.place.file for layer in self._layers.values() if layer.device]
        )

    def _state(self) -> FilesState:
        files = [file for layer in self._layers.values() for file in layer.files]
        return state_of(self.ssh, list(dict.fromkeys(files)))

    def _unchanged(self) -> None:
        before, now = self._served, self._state()
        why = now.writers[0] if now.writers else ""
        if before is not None and (changed := now.changed(before)):
            why = f"{changed} has changed since"
        if why:
            message = f"{self.host}: {self.name}: {why}; what was read is not one state of it"
            raise MigrateError(message)

    def _end(self) -> None:
        Rest(self.mount.node, self.mount.folder).end()
        self.mount.unmount()

    def _serve(self) -> None:
        """Serve all disks afresh: nothing that an earlier reader has cached is seen again."""
        Rest(self.mount.node, self.mount.folder).end()
        self.mount.open()
        self._served = self._state()
        opener, lines = MountOpener(self.mount), ["set -e"]
        for name, layer in self._layers.items():
            image = f"json:{json.dumps(graph(layer, opener))}"
            lines.append(
                _SERVE.format(
                    readers=READERS,
                    name=shlex.quote(name),
                    pid=shlex.quote(f"{self.mount.folder}/rest-{name}.pid"),
                    socket=shlex.quote(f"{self.mount.folder}/{Rest.socket(name)}"),
                    image=shlex.quote(image),
                )
            )
        try:
            self.mount.node.run("\n".join(lines))
        except CommandError as error:
            message = f"{self.mount.node.host}: an image of {self.name} cannot be read: {error}"
            raise ImageError(message) from error


def _hashes(ssh: Ssh, file: str, size: int) -> Iterator[bytes]:
    """Run the loop at the host; its lines, which end early when it fails: then the list is torn."""
    line = f"exec sh -s -- {shlex.quote(file)} {size} {BLOCK}"
    with (
        SCRIPT.open("rb") as script,
        subprocess.Popen(ssh.alone(line), stdin=script, stdout=subprocess.PIPE) as process,
    ):
        assert process.stdout is not None  # noqa: S101  # asked for above
        yield from process.stdout
