"""Pack this package as two files that run with the system's Python: the vault's, the sender's."""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

EPOCH = (1980, 1, 1, 0, 0, 0)  # of every member: the same code gives the same bytes
MAIN = "import sys\nfrom releve.vault.{module} import main\nsys.exit(main())\n"
VAULT = ("btrfs", "grant", "receive", "seal", "store", "verify", "wire")
SENDER = ("fetch", "freeze", "node", "run", "send", "sender", "stopped", "store", "wire")
BUNDLES = {"vault.pyz": ("__main__", VAULT), "vault-send.pyz": ("send_main", SENDER)}


def build(name: str) -> bytes:
    """Return one of BUNDLES; the same code always gives the same bytes."""
    main, modules = BUNDLES[name]
    package = Path(__file__).parent
    files = [f"vault/{module}.py" for module in ("__init__", main, *modules)]
    if name == "vault-send.pyz":
        files += ["errors.py", "witness.py"]
        files += [
            f"blocks/{file.name}" for file in sorted((package.parent / "blocks").glob("*.py"))
        ]
    members = {"__main__.py": MAIN.format(module=main), "releve/__init__.py": ""}
    members |= {
        f"releve/{file}": (package.parent / file).read_text(encoding="utf-8") for file in files
    }
    buffer = io.BytesIO()
    buffer.write(b"#!/usr/bin/python3\n")
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        for member, text in members.items():
            archive.writestr(zipfile.ZipInfo(member, EPOCH), text)
    return buffer.getvalue()


def main() -> None:
    """Write a bundle: `bundle.py NAME FILE`; a file that is right already is left alone."""
    name, target = sys.argv[1], Path(sys.argv[2])
    data = build(name)
    if not target.exists() or target.read_bytes() != data:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


if __name__ == "__main__":
    # Roles call this file by its path, from a copy too: it needs nothing but its neighbours.
    main()
