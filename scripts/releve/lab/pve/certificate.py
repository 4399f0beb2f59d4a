"""Make the node's own certificate when it has none, as PVE does at its installation."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from .command import run

if TYPE_CHECKING:
    from .place import Place


def ensure(place: Place) -> None:
    """Write certificate, key and authority unless somebody has put some there."""
    folder = place.config / "local"
    certificate, key = folder / "pve-ssl.pem", folder / "pve-ssl.key"
    if certificate.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    mask = os.umask(0o077)
    try:
        words = ["openssl", "req", "-x509", "-nodes", "-days", "730", "-subj", f"/CN={place.node}"]
        words += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        words += ["-addext", f"subjectAltName={','.join(_names(place.node))}"]
        run([*words, "-keyout", str(key), "-out", str(certificate)])
    finally:
        os.umask(mask)
    authority = place.config / "pve-root-ca.pem"
    authority.write_text(certificate.read_text(encoding="utf-8"), encoding="utf-8")


def _names(node: str) -> list[str]:
    """Return the names under which the node is asked: its own, and all its addresses."""
    links = json.loads(run(["ip", "-json", "address", "show"]))
    found = [one["local"] for link in links for one in link["addr_info"]]
    return [f"DNS:{node}", "DNS:localhost", *(f"IP:{address}" for address in found)]
