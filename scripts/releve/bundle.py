#!/usr/bin/python3
"""Pack a package of ours as one file that runs with the system's Python: a zipapp.

`python3 bundle.py PACKAGE` packs the folder PACKAGE and prints where the zipapp lies: in the
cache, under a name that follows from its content. Standard library only, and runs from the
checkout: roles pack what they carry without this package being installed.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
import tempfile
import zipfile
from pathlib import Path

EPOCH = (1980, 1, 1, 0, 0, 0)  # of every member: the same code gives the same bytes
MAIN = "import sys\nfrom releve.{name}.__main__ import main\nsys.exit(main())\n"


def pack(package: Path) -> bytes:
    """Return the zipapp of a package of `releve`; the same code always gives the same bytes.

    `errors.py` beside the package goes with it.
    """
    name = package.name
    errors = package.parent / "errors.py"
    members = {
        "__main__.py": MAIN.format(name=name),
        "releve/__init__.py": "",
        "releve/errors.py": errors.read_text(encoding="utf-8"),
    }
    members |= {
        f"releve/{name}/{file.relative_to(package).as_posix()}": file.read_text(encoding="utf-8")
        for file in sorted(package.rglob("*.py"))
    }
    buffer = io.BytesIO()
    buffer.write(b"#!/usr/bin/python3\n")
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        for member, text in members.items():
            archive.writestr(zipfile.ZipInfo(member, EPOCH), text)
    return buffer.getvalue()


def keep(package: Path, folder: Path) -> Path:
    """Write the zipapp into a folder, whole or not at all; return where it lies."""
    content = pack(package)
    file = folder / f"{package.name}-{hashlib.sha256(content).hexdigest()[:16]}.pyz"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as part:
            part.write(content)
        Path(part.name).chmod(0o644)
        Path(part.name).replace(file)
    return file


def cache() -> Path:
    """Return the folder of what can be made again."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("RELEVE_CACHE") or home / "releve")


if __name__ == "__main__":
    sys.stdout.write(f"{keep(Path(sys.argv[1]).absolute(), cache() / 'bundles')}\n")
