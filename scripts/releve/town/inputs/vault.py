"""Inputs of roles vault_target and vault_sender, from the town file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from releve.town.model import Guest, Town

KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa")
"""Of host keys, the best first."""


def inputs(town: Town) -> dict[str, dict[str, Any]]:
    """Return host -> role variables.

    The senders' public keys are not in the town file: they are made on the senders and handed
    over at the vault's console.
    """
    if town.vault is None:
        return {}
    target = {
        "vault_target_path": str(town.vault.path),
        "vault_target_lock_days": town.vault.lock_days,
    }
    variables: dict[str, dict[str, Any]] = {town.vault.host: target}
    for sender in town.vault.senders:
        variables.setdefault(sender, {}).update(_sender(town, sender))
    return variables


def _sender(town: Town, sender: str) -> dict[str, Any]:
    assert town.vault is not None  # noqa: S101  # the caller looked
    address = str(town.hosts[town.vault.host].address)
    host_key = _host_key(town, address)
    return {
        "vault_sender_vault": address,
        **({"vault_sender_host_key": host_key} if host_key else {}),
        "vault_sender_guests": [
            _guest(name, guest) for name, guest in town.guests.items() if guest.target == sender
        ],
    }


def _guest(name: str, guest: Guest) -> dict[str, Any]:
    address = next((str(nic.address) for nic in guest.nics if nic.address), "")
    witness = guest.witness if address else None
    slots: dict[str, str] = {}
    for disk in guest.disks:
        number = sum(slot.startswith(disk.bus) for slot in slots)
        slots[f"{disk.bus}{number}"] = disk.name
    return {
        "name": name,
        "vmid": guest.vmid,
        "disks": slots,
        "witness_address": address if witness else "",
        "witness_port": witness.port if witness else 0,
    }


def _host_key(town: Town, address: str) -> str | None:
    """Return the vault's host key that the workstation trusts, from its plain known_hosts."""
    if town.ssh.known_hosts_file is None:
        return None
    file = town.path(town.ssh.known_hosts_file)
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    keys = {
        words[1]: f"{words[1]} {words[2]}"
        for words in (line.split() for line in lines)
        if len(words) >= 3 and address in words[0].split(",")  # noqa: PLR2004  # names, type, key
    }
    return next((keys[kind] for kind in KEY_TYPES if kind in keys), None)
