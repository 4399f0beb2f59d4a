"""The fence around image files: the newest layer of each disk has another name while it stands."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from releve.migrate.images import ova
from releve.migrate.images.model import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from releve.ssh import Ssh

FENCE = "moved-by-releve."
_ZVOLS = "/dev/zvol/"
_KIND = """\
[ -b {file} ] || exit 0
case {file} in /dev/zvol/*/*) exit 0 ;; esac
name=$(lvs --noheadings --separator / -o vg_name,lv_name {file} 2>/dev/null | tr -d ' ')
case {file} in */"${{name:-none}}") exit 0 ;; esac
exit 1
"""
_RENAME = """\
if [ -e {new} ]; then
  [ ! -e {old} ]
elif [ ! -b {old} ]; then
  mv -- {old} {new}
else
  {volume}
fi
"""


def refuse_nameless(ssh: Ssh, files: Iterable[str]) -> None:
    """Raise ImageError for a block device that cannot be given another name, and so no fence."""
    for file in files:
        if ssh.run(_KIND.format(file=shlex.quote(file)), check=False).returncode:
            message = (
                f"{ssh.host}: {file}: a block device is named as /dev/GROUP/VOLUME (LVM) or"
                " /dev/zvol/POOL/VOLUME (ZFS): another one cannot be fenced, and its guest could"
                " start there by accident; copy it into a file (`dd`) and name that"
            )
            raise ImageError(message)


def _rename(old: str, new: str) -> str:
    """Return the shell line that gives a volume another name."""
    if old.startswith(_ZVOLS):
        words = ["zfs", "rename", old.removeprefix(_ZVOLS), new.removeprefix(_ZVOLS)]
        return f"{shlex.join(words)} && {{ udevadm settle 2>/dev/null || sleep 1; }}"
    group, name = old.split("/")[-2:]
    return shlex.join(["lvrename", "-q", group, name, new.rpartition("/")[2]])


def fenced(file: str) -> str:
    """Return the name that a file, or an archive with a member, has while its guest is fenced."""
    archive = ova.split(file)
    if archive:
        return f"{fenced(archive[0])}/{archive[1]}"
    folder, _slash, name = file.rpartition("/")
    return f"{folder}/{FENCE}{name}"


def renames(pairs: Sequence[tuple[str, str]]) -> str:
    """Return the shell line that gives files other names; what has its name already is no fault."""
    lines = ["set -e"]
    for old, new in pairs:
        words = {"old": shlex.quote(old), "new": shlex.quote(new), "volume": _rename(old, new)}
        lines.append(_RENAME.format(**words))
    folders = dict.fromkeys(shlex.quote(new.rpartition("/")[0]) for _old, new in pairs)
    return "\n".join([*lines, *(f"sync {folder} 2>/dev/null || sync" for folder in folders)])
