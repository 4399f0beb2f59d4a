"""Pack the mover as one file that runs with the system's Python: `blocks.pyz`."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

EPOCH = (1980, 1, 1, 0, 0, 0)  # of every member: the same code gives the same bytes
MAIN = "import sys\nfrom releve.blocks.__main__ import main\nsys.exit(main())\n"


def build() -> bytes:
    """Return the zipapp; the same code always gives the same bytes."""
    package = Path(__file__).parent
    members = {"__main__.py": MAIN, "releve/__init__.py": ""}
    members |= {
        f"releve/blocks/{file.name}": file.read_text(encoding="utf-8")
        for file in sorted(package.glob("*.py"))
    }
    buffer = io.BytesIO()
    buffer.write(b"#!/usr/bin/python3\n")
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), text)
    return buffer.getvalue()
