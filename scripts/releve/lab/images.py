"""Images of the lab's hosts, by mmdebstrap: kept in the cache by a hash of their recipe."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from releve.command import run
from releve.lab import processes
from releve.lab.cache import cache_folder, key_of, locked
from releve.lab.podman import image_exists, podman

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# What roles install: not in the images, so that a role really installs it. The hosts find these
# and what they depend on in a read-only repository; there is no other one and no way out.
ROLE_PACKAGES = (
    "apprise",
    "chrony",
    "curl",
    "jq",
    "libnss3-tools",
    "nut-client",
    "nut-server",
    "python3-libnbd",
    "socat",
    "sshfs",
)
REPOSITORY_MOUNT = "/srv/apt"
KEEP_DAYS = 30
_PART = ".part-"

_BASE = (
    "dbus",
    "e2fsprogs",
    "iproute2",
    "iputils-ping",
    "openssh-server",
    "procps",
    "systemd",
    "systemd-sysv",
)
_MANAGED = (
    *_BASE,
    "btrfs-progs",
    "ca-certificates",
    "nftables",
    "openssl",
    "python3",
    "python3-apt",
    "sudo",
)
_QEMU = ("ovmf", "qemu-system-x86", "qemu-utils", "swtpm", "swtpm-tools")
_LIBVIRT = ("libvirt-clients", "libvirt-daemon-driver-qemu", "libvirt-daemon-system")
_GUEST_TOOLS = (
    "busybox-static",
    "cpio",
    "dosfstools",
    "e2fsprogs",
    "fdisk",
    "gcc",
    "libc6-dev",
    "linux-image-cloud-amd64",
    "mtools",
    "qemu-utils",
    "syslinux",
    "syslinux-common",
    "systemd-boot-efi",
    "systemd-ukify",
)
_DEBIAN = (
    "dbus",
    "e2fsprogs",
    "fdisk",
    "grub-pc-bin",
    "ifupdown",
    "initramfs-tools",
    "iproute2",
    "linux-image-cloud-amd64",
    "openssh-server",
    "systemd-sysv",
    "udev",
)
_UNUSED = tuple(f"path-exclude=/usr/share/{part}/*" for part in ("doc", "info", "locale", "man"))
_APT = ('APT::Install-Recommends "false"', 'Acquire::Languages "none"')
_REMOVE = 'rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/hostname "$1"/etc/resolv.conf'
# Timers that would start by themselves in the middle of a drill.
_QUIET = (
    "for unit in apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer "
    "systemd-modules-load.service systemd-timesyncd.service; do "
    'ln -sf /dev/null "$1"/etc/systemd/system/$unit; done'
)
_ONE_SOURCE = (
    'rm -rf "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/*; '
    f'echo "deb [trusted=yes] file:{REPOSITORY_MOUNT} ./" > "$1"/etc/apt/sources.list'
)
_NO_PYTHON = (
    'found=$(find "$1"/usr/bin "$1"/usr/local/bin -name "python*"); '
    '[ -z "$found" ] || { echo "the old host must have no Python: $found" >&2; exit 1; }'
)
# libvirt in a container: no namespaces or cgroups of its own, and QEMU runs as root.
_LIBVIRT_CONFIGURATION = (
    'printf "%s\\n" "namespaces = []" "cgroup_controllers = []" '
    "'security_driver = \"none\"' 'user = \"root\"' 'group = \"root\"' 'remember_owner = 0' "
    '>> "$1"/etc/libvirt/qemu.conf'
)


@dataclass(frozen=True, slots=True)
class Image:
    """A recipe; its key, and so the name of what is built, follows from all of it."""

    name: str
    suite: str
    packages: tuple[str, ...]
    hooks: tuple[str, ...] = (_REMOVE,)

    @property
    def key(self) -> str:
        """The recipe's hash."""
        # The repository is made with `host`, from the same state of the mirror.
        extra = ROLE_PACKAGES if self.name == "host" else ()
        return key_of(self.suite, self.packages, self.hooks, _APT, _UNUSED, extra)

    @property
    def reference(self) -> str:
        """The image's name in podman."""
        return f"localhost/releve-lab-{self.name}:{self.key}"

    @property
    def archive(self) -> Path:
        """The image's file in the cache."""
        return cache_folder() / "images" / f"{self.name}-{self.key}.tar"


IMAGES = {
    image.name: image
    for image in (
        Image(
            "old",
            "bookworm",
            (*_BASE, *_LIBVIRT, *_QEMU),
            (_NO_PYTHON, _REMOVE, _QUIET, _LIBVIRT_CONFIGURATION),
        ),
        Image("node", "trixie", (*_MANAGED, *_QEMU, "lvm2"), (_REMOVE, _QUIET, _ONE_SOURCE)),
        Image("host", "trixie", _MANAGED, (_REMOVE, _QUIET, _ONE_SOURCE)),
        Image("guest", "trixie", _GUEST_TOOLS),
    )
}
# Not one of the lab's hosts: the root that the light worlds of the power tests share.
NUT = Image("nut", "trixie", ("iproute2", "nut-client", "nut-server", "procps", "python3"))
# Nor this one: a guest that is a whole Debian, see `debian`.
DEBIAN = Image("debian", "bookworm", _DEBIAN, (_REMOVE, _QUIET))


def repository() -> Path:
    """Return the folder of the packages that roles install, whether or not it is there yet."""
    return cache_folder() / "apt" / IMAGES["host"].key


def missing(wanted: Sequence[Image] = tuple(IMAGES.values())) -> list[Image]:
    """Return the images that podman does not have, and `host` when its repository is missing."""
    host = IMAGES["host"]
    lacking = [image for image in wanted if not image_exists(image.reference)]
    if host in wanted and host not in lacking and not repository().is_dir():
        lacking.append(host)
    return lacking


def ensure(tell: Callable[[str], None], wanted: Sequence[Image] = tuple(IMAGES.values())) -> None:
    """Build and import what is missing, two at a time; `tell` gets one line for each image.

    Raises CommandError with mmdebstrap's or podman's last lines.
    """
    with locked("images"), ThreadPoolExecutor(max_workers=2) as pool:
        _forget_old()
        for line in pool.map(_provide, missing(wanted)):
            tell(line)


def _forget_old() -> None:
    """Remove half-built images, and those that no recipe has named for a month."""
    folder, keys = cache_folder(), {image.key for image in (*IMAGES.values(), NUT, DEBIAN)}
    # We hold the cache's lock: whoever still works in there is left from a run that was killed.
    processes.end_all(processes.naming(f"{folder}/images/{_PART}"))
    for part in folder.glob(f"images/{_PART}*"):
        shutil.rmtree(part)
    limit = time.time() - KEEP_DAYS * 86_400
    for file in (*folder.glob("images/*.tar"), *folder.glob("apt/*")):
        if file.stem.rpartition("-")[2] in keys:
            os.utime(file)
        elif file.stat().st_mtime < limit:
            _remove(file)


def _remove(file: Path) -> None:
    if file.is_dir():
        shutil.rmtree(file)
        return
    name, _, key = file.stem.rpartition("-")
    podman("rmi", "--ignore", f"localhost/releve-lab-{name}:{key}", check=False)
    file.unlink()


def _provide(image: Image) -> str:
    """Put one image into podman; say how."""
    how = "from the cache"
    if not image.archive.exists() or (image.name == "host" and not repository().is_dir()):
        _build(image)
        how = "built"
    podman("import", "-q", str(image.archive), image.reference, timeout=600)
    return f"image {image.name} {how}"


def _build(image: Image) -> None:
    image.archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=image.archive.parent, prefix=_PART) as scratch:
        Path(scratch).chmod(0o755)  # apt fetches as a user of its own
        packages, part = Path(scratch, "apt"), Path(scratch, "image.tar")
        packages.mkdir()
        packages.chmod(0o755)
        first = [_download(packages)] if image.name == "host" else []
        hooks = [f"--customize-hook={hook}" for hook in (*first, *image.hooks)]
        run(
            [
                "mmdebstrap",
                "--quiet",
                "--mode=root",
                "--variant=minbase",
                f"--include={','.join(image.packages)}",
                *(f"--aptopt={option}" for option in _APT),
                *(f"--dpkgopt={option}" for option in _UNUSED),
                *hooks,
                image.suite,
                str(part),
            ],
            timeout=1800,
            # Its root lies where the next run finds and removes it when this one is killed.
            env={**os.environ, "TMPDIR": scratch},
        )
        if first:
            index = run(["apt-ftparchive", "packages", "."], timeout=120, cwd=str(packages))
            (packages / "Packages").write_text(index.stdout)
            repository().parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(repository(), ignore_errors=True)
            packages.rename(repository())
        part.replace(image.archive)


def _download(folder: Path) -> str:
    """Return the hook that fetches the packages of roles with the image's own sources."""
    apt = 'APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get -qq'
    return (
        f"{apt} clean && {apt} install --yes --download-only {' '.join(ROLE_PACKAGES)} && "
        f'cp "$1"/var/cache/apt/archives/*.deb {shlex.quote(str(folder))}/'
    )
