"""Grants: one guest, one receiver, some hours, and the copy as it lies there."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
from datetime import timedelta

import pytest
from vault_rig import Image, Vault

from releve.vault import grant
from releve.vault.store import VaultError, utc_now
from releve.vault.wire import BLOCK, HELLO, Block, DiskSize, Reader, Refusal, disks_of

pytestmark = pytest.mark.root
KEY = "ssh-ed25519 " + "B" * 68


@pytest.fixture
def filled(vault: Vault) -> Vault:
    """Return a vault with two copies of one guest and one of another."""
    data = bytearray(os.urandom(3 * BLOCK)) + bytearray(5 * BLOCK)
    image = Image(DiskSize("vda", len(data)), data)
    vault.put(image)
    image.data[:BLOCK] = os.urandom(BLOCK)
    vault.put(image)
    (vault.state / "vda.blocks").unlink()
    vault.put(image, "dossiers")
    return vault


def served(vault: Vault, ticket: str, guest: str, command: str) -> Reader:
    """Return what a session of a grant says."""
    out = io.BytesIO()
    grant.serve(vault.config, ticket, guest, command, out)
    return Reader(io.BytesIO(out.getvalue()).read)


@pytest.mark.parametrize(("command", "number"), [("get", 2), ("get 1", 1)])
def test_a_grant_gives_a_copy_as_it_lies_there(filled: Vault, command: str, number: int) -> None:
    one = grant.grant(filled.config, "compta", "pve1", 1, None)
    reader = served(filled, one.ticket, one.guest, command)
    words = reader.words(HELLO)
    (disk,) = disks_of(words, 1 << 30)
    reader.expect((disk,))
    data = bytearray(disk.size)
    for item in reader.changes():
        if isinstance(item, Block):
            start = item.index * BLOCK
            data[start : start + BLOCK] = item.data or bytes(BLOCK)
    raw = filled.copies()[number - 1].folder / "vda.raw"
    assert bytes(data) == raw.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    assert f"{digest}  vda.raw" in words["files"]["manifest.txt"]


@pytest.mark.parametrize("command", ["", "sh", "get x", "get 1 2", "get ../1", "put compta vda"])
def test_a_grant_can_do_nothing_else(filled: Vault, command: str) -> None:
    one = grant.grant(filled.config, "compta", "pve1", 1, None)
    with pytest.raises(Refusal, match="one thing"):
        served(filled, one.ticket, one.guest, command).words(HELLO)


def test_a_grant_is_for_its_guest_only(filled: Vault) -> None:
    one = grant.grant(filled.config, "compta", "pve1", 1, None)
    with pytest.raises(Refusal, match="over"):
        served(filled, one.ticket, "pve1/dossiers", "get").words(HELLO)
    with pytest.raises(Refusal, match="over"):
        served(filled, "0" * 16, one.guest, "get").words(HELLO)


def test_a_grant_ends_by_itself_and_by_order(filled: Vault) -> None:
    one = grant.grant(filled.config, "compta", "pve1", 1, None)
    other = grant.grant(filled.config, "dossiers", "bay", 1, KEY)
    assert {g.ticket for g in grant.grants(filled.config)} == {one.ticket, other.ticket}
    assert grant.revoke(filled.config, other.ticket) == 1
    with pytest.raises(Refusal, match="over"):
        served(filled, other.ticket, other.guest, "get").words(HELLO)
    past = dataclasses.replace(one, until=utc_now() - timedelta(seconds=2))
    grant.keys_file(filled.config).write_text(past.line() + "\n")
    with pytest.raises(Refusal, match="over"):
        served(filled, one.ticket, one.guest, "get").words(HELLO)
    assert grant.revoke(filled.config, None) == 0
    assert grant.keys_file(filled.config).read_text() == ""


def test_a_grant_that_ends_while_it_serves_stops(filled: Vault) -> None:
    one = grant.grant(filled.config, "compta", "pve1", 1, None)

    class Out(io.BytesIO):
        def write(self, data: object, /) -> int:
            grant.keys_file(filled.config).write_text("")
            return super().write(data)  # type: ignore[arg-type]  # whatever the server writes

    out = Out()
    assert grant.serve(filled.config, one.ticket, one.guest, "get", out) == 1
    reader = Reader(io.BytesIO(out.getvalue()).read)
    reader.expect(disks_of(reader.words(HELLO), 1 << 30))
    with pytest.raises(Refusal, match="over"):
        list(reader.changes())


def test_one_key_has_one_grant(filled: Vault) -> None:
    grant.grant(filled.config, "compta", "pve1", 1, None)
    newer = grant.grant(filled.config, "dossiers", "pve1", 1, None)
    assert [one.ticket for one in grant.grants(filled.config)] == [newer.ticket]


@pytest.mark.parametrize(
    ("guest", "host", "hours", "key"),
    [
        ("nobody", "pve1", 1, None),
        ("compta", "nas", 1, None),
        ("compta", "x y", 1, KEY),
        ("compta", "pve1", 0, None),
        ("compta", "pve1", 1000, None),
        ("compta", "pve1", 1, 'ssh-ed25519 AAA" command="sh'),
    ],
)
def test_a_grant_that_makes_no_sense_is_refused(
    filled: Vault, guest: str, host: str, hours: int, key: str | None
) -> None:
    before = grant.keys_file(filled.config).exists()
    with pytest.raises(VaultError):
        grant.grant(filled.config, guest, host, hours, key)
    assert grant.keys_file(filled.config).exists() == before
