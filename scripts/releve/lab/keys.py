"""Keys and secrets of one lab, made anew for each run: ssh, host keys, TLS, passwords."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from typing import TYPE_CHECKING

from releve.command import run

if TYPE_CHECKING:
    from ipaddress import IPv4Address
    from pathlib import Path

SECRET_NAMES = (
    "pve_api_password",
    "nut_primary_password",
    "nut_primary_secondary_password",
    "nut_primary_test_password",
)


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner can read; it never exists with other rights."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)


def make_login_key(folder: Path) -> str:
    """Make the workstation's key pair `id`, an empty known_hosts; return the public key."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    folder.chmod(0o700)
    _ssh_keygen(folder / "id", "releve-lab")
    (folder / "known_hosts").touch()
    return (folder / "id.pub").read_text()


def make_host_key(folder: Path, address: IPv4Address, known_hosts: Path) -> None:
    """Make a host's key in `folder` and note it in the workstation's known_hosts."""
    folder.mkdir(parents=True, exist_ok=True)
    key = folder / "ssh_host_ed25519_key"
    for old in folder.glob("ssh_host_*"):
        old.unlink()
    _ssh_keygen(key, "lab")
    kind, public, *_ = key.with_suffix(".pub").read_text().split()
    others = [
        line for line in known_hosts.read_text().splitlines() if line.split()[0] != str(address)
    ]
    known_hosts.write_text("\n".join([*others, f"{address} {kind} {public}"]) + "\n")


def _ssh_keygen(file: Path, comment: str) -> None:
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(file)], timeout=30)


def make_authority(folder: Path) -> None:
    """Make the lab's certificate authority: `ca.pem` and its private `ca.key`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    folder.chmod(0o700)
    _openssl(
        folder,
        *("req", "-x509", "-new", "-nodes", "-days", "30", "-subj", "/CN=Lab authority"),
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-keyout", "ca.key", "-out", "ca.pem"),
    )


def make_certificate(folder: Path, name: str, address: IPv4Address, domain: str) -> None:
    """Make `NAME.pem` and `NAME.key`, good for the host's name, full name and address."""
    names = f"subjectAltName=DNS:{name},DNS:{name}.{domain},IP:{address}"
    (folder / f"{name}.ext").write_text(f"{names}\nextendedKeyUsage=serverAuth\n")
    _openssl(
        folder,
        *("req", "-new", "-nodes", "-subj", f"/CN={name}.{domain}"),
        *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-keyout", f"{name}.key", "-out", f"{name}.csr"),
    )
    _openssl(
        folder,
        *("x509", "-req", "-days", "30", "-in", f"{name}.csr", "-extfile", f"{name}.ext"),
        *("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", f"{name}.pem"),
    )


def _openssl(folder: Path, *words: str) -> None:
    run(["openssl", *words], timeout=30, cwd=str(folder))


def make_secrets(secrets_file: Path, key_file: Path) -> dict[str, str]:
    """Write the town's secrets, encrypted under a new random key; return them in clear.

    The key is random, never a person's password: ansible-vault derives with 10,000 rounds only.
    """
    # Here and not above: ansible takes half a second to import, and most verbs need no secret.
    from ansible.parsing.vault import VaultLib, VaultSecret  # noqa: PLC0415

    key = secrets.token_hex(32)
    values = {name: secrets.token_urlsafe(24) for name in SECRET_NAMES}
    # JSON is YAML; the secondary's password is the primary's entry for it, never a second value.
    content = values | {"nut_secondary_password": "{{ nut_primary_secondary_password }}"}
    lines = ["---", *(f"{name}: {json.dumps(value)}" for name, value in content.items()), ""]
    vault = VaultLib([("default", VaultSecret(key.encode()))])
    sealed: bytes = vault.encrypt("\n".join(lines))
    write_private(key_file, key + "\n")
    write_private(secrets_file, sealed.decode())
    return values
