"""A guest's root as a folder, and the few programs of it that `prepare.sh` asks."""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from releve.migrate.prepare import SCRIPT

if TYPE_CHECKING:
    from pathlib import Path

KERNEL = "6.1.0-18-amd64"
DRIVERS = ("virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod")
# `chroot ROOT PROGRAM ...` runs one of these, with ROOT in GUEST.
PROGRAMS = {
    "sync": "",
    "chroot": 'GUEST=$1; export GUEST; shift; exec "$@"',
    "blkid": (
        "for word; do last=$word; done\n"
        'case "$*" in\n'
        '*" -s "*) tag=$(echo "$*" | sed "s/.*-s \\([A-Z]*\\).*/\\1/")\n'
        '  sed -n "s|^$last $tag=||p" "$GUEST/devices" ;;\n'
        '*" -t "*) tag=$(echo "$*" | sed "s/.*-t \\([^ ]*\\).*/\\1/")\n'
        '  sed -n "s|^\\([^ ]*\\) $tag\\$|\\1|p" "$GUEST/devices" ;;\n'
        "esac"
    ),
    "ethtool": 'echo "Permanent address: $(cat "$GUEST/sys/class/net/$2/burnt")"',
    "lsinitramfs": 'cat "$GUEST$1"',
    "lsinitrd": 'cat "$GUEST$1"',
    # As the real ones do: what is configured, and links; they fail when they are told to.
    "update-initramfs": (
        '[ ! -e "$GUEST/broken" ] ||\n'
        '  { echo no space left; echo half >"$GUEST/boot/initrd.img-$3"; exit 1; }\n'
        'mkdir -p "$GUEST/var/lib/initramfs-tools"\n'
        '{ cat "$GUEST/most"\n'
        '  sed "/#/d; s|.*|kernel/drivers/&.ko|" "$GUEST/etc/initramfs-tools/modules"\n'
        '  ls "$GUEST/etc/systemd/network"; } >"$GUEST/boot/initrd.img-$3" 2>/dev/null\n'
        'echo made >"$GUEST/var/lib/initramfs-tools/$3"'
    ),
    "dracut": (
        'sed -n "s/^add_drivers+=\\" \\(.*\\) \\"/\\1/p" "$GUEST"/etc/dracut.conf.d/*.conf |\n'
        '  tr " " "\\n" | sed "s|.*|kernel/drivers/&.ko.xz|" >"$GUEST$2"'
    ),
}


@dataclass(slots=True)
class Guest:
    """A root in a folder. `run` prepares it and returns (exit code, lines)."""

    folder: Path
    programs: Path
    log: list[str] = field(default_factory=list)

    @property
    def root(self) -> Path:
        """Its root."""
        return self.folder

    def write(self, file: str, text: str | bytes, mode: int = 0o644) -> Path:
        """Write a file of the guest."""
        path = self.folder / file.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return path

    def read(self, file: str) -> str:
        """Read a file of the guest."""
        return (self.folder / file.lstrip("/")).read_text()

    def card(self, name: str, mac: str, *, kind: str = "1", assigned: str = "0") -> Path:
        """Plug a card in."""
        card = f"sys/class/net/{name}"
        (self.folder / card / "device").mkdir(parents=True)
        self.write(f"{card}/type", f"{kind}\n")
        self.write(f"{card}/address", f"{mac}\n")
        self.write(f"{card}/addr_assign_type", f"{assigned}\n")
        return self.folder / card

    def disk(self, device: str, uuid: str, kind: str = "ext4") -> None:
        """Let blkid know a device."""
        with (self.folder / "devices").open("a") as stream:
            stream.write(f"{device} UUID={uuid}\n{device} TYPE={kind}\n")

    def kernel(self, has: tuple[str, ...] = DRIVERS, image: tuple[str, ...] = DRIVERS) -> None:
        """Install a kernel whose modules are `has`, and an initramfs that holds `image`."""
        modules = f"lib/modules/{KERNEL}"
        self.write(f"{modules}/modules.builtin", "kernel/drivers/base.ko\n")
        self.write(f"{modules}/modules.dep", "".join(f"kernel/x/{one}.ko.xz:\n" for one in has))
        most = "".join(f"k/{one}.ko\n" for one in ("ext4", *image))
        self.write(f"boot/initrd.img-{KERNEL}", most)
        self.write("most", most)

    def run(self, *words: str, shell: str = "sh") -> tuple[int, list[str]]:
        """Run the script on it as the verb does: by standard input."""
        path = f"{self.programs}:{os.environ['PATH']}"
        done = subprocess.run(
            [*shell.split(), "-s", "--", *words],
            input=SCRIPT.read_text(), capture_output=True, text=True, timeout=60, check=False,
            env={"ROOT": str(self.folder), "PATH": path},
        )  # fmt: skip
        assert done.stderr == "", done.stderr
        self.log = done.stdout.splitlines()
        return done.returncode, self.log

    def tree(self) -> dict[str, tuple[object, ...]]:
        """Return every file with its bytes, mode, owner and time, and every folder."""
        found: dict[str, tuple[object, ...]] = {}
        for path in sorted(self.folder.rglob("*")):
            state = path.lstat()
            name = str(path.relative_to(self.folder))
            if path.is_dir():
                found[name] = ("folder", state.st_mode)
            else:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                found[name] = (digest, state.st_mode, state.st_uid, state.st_mtime_ns)
        return found


def guest_in(folder: Path) -> Guest:
    """Return a Debian whose files need nothing, with the programs beside it."""
    programs = folder / "programs"
    programs.mkdir()
    for name, text in PROGRAMS.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    guest = Guest(folder / "root", programs)
    (folder / "root" / "var" / "lib").mkdir(parents=True)
    guest.write("devices", "")
    guest.write("proc/cmdline", "root=UUID=1 ro quiet\n")
    guest.write("usr/sbin/mkinitramfs", "", 0o755)
    guest.write("etc/initramfs-tools/modules", "# List of modules\nraid1\n")
    guest.write("etc/fstab", "UUID=1 / ext4 errors=remount-ro 0 1\n")
    (folder / "root/usr/lib/systemd/network").mkdir(parents=True)
    guest.kernel()
    return guest
