"""Commands of the vault itself, run there: by sshd, by systemd, or by root at the console."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from releve.vault import grant, receive, seal
from releve.vault.store import CONFIG, Config, Copy, Store, VaultError
from releve.vault.verify import verify


def main() -> int:
    """Run one command; return its exit code."""
    words = _parser().parse_args()
    try:
        config = Config.load(words.config)
        code: int = words.run(config, words)
    except VaultError as error:
        sys.stderr.write(f"vault: {error}\n")
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vault", description="Keep copies of guests.")
    parser.add_argument(
        "--config", type=Path, default=CONFIG, help="settings (default %(default)s)"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    one = commands.add_parser("receive", help="take a copy from a sender (sshd runs this)")
    one.add_argument("--sender", required=True)
    one.set_defaults(run=_receive)
    one = commands.add_parser("serve", help="give a copy to who has a grant (sshd runs this)")
    one.add_argument("ticket")
    one.add_argument("guest")
    one.set_defaults(run=_serve)
    one = commands.add_parser("seal", help="seal what has arrived")
    one.add_argument("--watch", action="store_true", help="go on for ever (systemd runs this)")
    one.set_defaults(run=_seal)
    one = commands.add_parser("list", help="say which copies there are")
    one.set_defaults(run=_list)
    one = commands.add_parser("verify", help="compare copies with their manifests")
    one.add_argument("guest", nargs="?", help="GUEST or SENDER/GUEST (default: all)")
    one.add_argument("number", nargs="?", type=int, help="one copy (default: all of the guest)")
    one.set_defaults(run=_verify)
    one = commands.add_parser("grant", help="let one receiver read one guest's copies for a time")
    one.add_argument("guest", help="GUEST or SENDER/GUEST")
    one.add_argument("--to", required=True, metavar="HOST")
    one.add_argument("--hours", required=True, type=int)
    one.add_argument("--key", help="its ssh public key, when it is none of the senders")
    one.set_defaults(run=_grant)
    one = commands.add_parser("grants", help="say which grants are open")
    one.set_defaults(run=_grants)
    one = commands.add_parser("revoke", help="end a grant now")
    one.add_argument("ticket")
    one.set_defaults(run=_revoke)
    return parser


def _receive(config: Config, words: argparse.Namespace) -> int:
    command = os.environ.get("SSH_ORIGINAL_COMMAND", "")
    return receive.receive(config, words.sender, command, sys.stdout.buffer)


def _serve(config: Config, words: argparse.Namespace) -> int:
    command = os.environ.get("SSH_ORIGINAL_COMMAND", "")
    return grant.serve(config, words.ticket, words.guest, command, sys.stdout.buffer)


def _seal(config: Config, words: argparse.Namespace) -> int:
    if words.watch:
        seal.watch(config)
    seal.recover(config)
    for copy in seal.seal_all(config):
        _say(f"{_title(copy)} sealed")
    return 0


def _list(config: Config, _words: argparse.Namespace) -> int:
    store = Store(config.root)
    for copy in store.all_copies():
        facts = copy.facts()
        size = sum(disk.size for disk in copy.disks())
        _say(
            f"{_title(copy)}  received {facts['received']}  locked until {facts['lock_until']}  "
            f"{size} bytes, {facts['stored_bytes']} new  "
            f"{'sealed' if seal.is_sealed(copy) else 'NOT SEALED'}"
            f"{'  SUSPECT: verify it' if store.suspect(copy).exists() else ''}"
        )
    return 0


def _verify(config: Config, words: argparse.Namespace) -> int:
    store = Store(config.root)
    if words.guest:
        newest = store.find(words.guest, words.number)
        copies = [newest] if words.number else store.copies_of(newest.sender, newest.guest)
    else:
        copies = list(store.all_copies())
    bad = 0
    for copy in copies:
        faults = verify(store, copy)
        bad += bool(faults)
        _say(f"{_title(copy)}  {'; '.join(faults) if faults else 'as sealed'}")
    return 1 if bad else 0


def _grant(config: Config, words: argparse.Namespace) -> int:
    new = grant.grant(config, words.guest, words.to, words.hours, words.key)
    _say(f"{new.ticket}  {new.host} may read {new.guest} until {new.until:%Y-%m-%dT%H:%M:%SZ}")
    return 0


def _grants(config: Config, _words: argparse.Namespace) -> int:
    for one in grant.grants(config):
        _say(f"{one.ticket}  {one.host} may read {one.guest} until {one.until:%Y-%m-%dT%H:%M:%SZ}")
    return 0


def _revoke(config: Config, words: argparse.Namespace) -> int:
    _say(f"{grant.revoke(config, words.ticket)} grants left")
    return 0


def _title(copy: Copy) -> str:
    return f"{copy.sender}/{copy.guest} {copy.folder.name}"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
