"""Authorities and certificates for tests, made anew each time."""

from __future__ import annotations

import datetime
import ipaddress
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path


def authority(folder: Path, name: str, *, days: float = 1) -> tuple[Path, Path]:
    """Make an authority and a certificate of it for `ups.example.org`: its file, and the pair's.

    The certificate is for 127.0.0.1, too, and ends in so many days.
    """
    key, server_key = (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
    )
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ups.example.org")])
    root = _sign(own, own, key, key, x509.BasicConstraints(ca=True, path_length=None))
    no_authority = x509.BasicConstraints(ca=False, path_length=None)
    leaf = _sign(subject, own, server_key, key, no_authority, days)
    trusted, pair = folder / f"{name}-ca.pem", folder / f"{name}-server.pem"
    trusted.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    private = server_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    pair.write_bytes(private + leaf.public_bytes(serialization.Encoding.PEM))
    return trusted, pair


def _sign(  # noqa: PLR0917  # what a certificate has
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    by: ec.EllipticCurvePrivateKey,
    constraints: x509.BasicConstraints,
    days: float = 1,
) -> x509.Certificate:
    now = datetime.datetime.now(tz=datetime.UTC)
    names = x509.SubjectAlternativeName(
        [x509.DNSName("ups.example.org"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    builder = x509.CertificateBuilder(
        issuer, subject, key.public_key(), x509.random_serial_number()
    )
    builder = builder.not_valid_before(now - datetime.timedelta(days=9))
    builder = builder.not_valid_after(now + datetime.timedelta(days=days))
    builder = builder.add_extension(constraints, critical=True)
    return builder.add_extension(names, critical=False).sign(by, hashes.SHA256())
