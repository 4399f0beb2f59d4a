"""Commands of the sender, run on a node: `python3 vault-send.pyz copy|tidy|list|peek|fetch`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from releve.vault import fetch, sender
from releve.vault.sender import CONFIG, FAILURES, Settings


def main() -> int:
    """Run one command, print one JSON object, return the exit code."""
    words = _parser().parse_args()
    try:
        answer = words.run(Settings.load(words.config), words)
    except FAILURES as error:
        answer = {"ok": False, "error": str(error), "kind": type(error).__name__}
    else:
        answer = {"ok": True, **answer}
    sys.stdout.write(json.dumps(answer, sort_keys=True) + "\n")
    return 0 if answer["ok"] else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vault-send", description="Bring copies to the vault.")
    parser.add_argument(
        "--config", type=Path, default=CONFIG, help="settings (default %(default)s)"
    )
    parser.add_argument("--root", type=Path, default=Path("/"), help="where the node's files are")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    one = commands.add_parser("copy", help="copy one guest to the vault")
    one.add_argument("guest")
    one.set_defaults(run=_copy)
    one = commands.add_parser("tidy", help="clear what a copy that was killed left behind")
    one.add_argument("guest")
    one.set_defaults(run=_tidy)
    one = commands.add_parser("list", help="say which copies were brought")
    one.set_defaults(run=_list)
    one = commands.add_parser("peek", help="say what a copy holds (needs a grant)")
    one.add_argument("--number", type=int)
    one.set_defaults(run=_peek)
    one = commands.add_parser("fetch", help="bring a copy back into volumes (needs a grant)")
    one.add_argument("--number", type=int)
    one.add_argument("target", nargs="+", metavar="DISK=PATH")
    one.set_defaults(run=_fetch)
    return parser


def _copy(settings: Settings, words: argparse.Namespace) -> dict[str, Any]:
    return sender.copy_guest(settings, words.guest, words.root)


def _tidy(settings: Settings, words: argparse.Namespace) -> dict[str, Any]:
    sender.tidy_after(settings, words.guest, words.root)
    return {}


def _list(settings: Settings, _words: argparse.Namespace) -> dict[str, Any]:
    return {"copies": {name: sender.copies(settings, name) for name in settings.guests}}


def _peek(settings: Settings, words: argparse.Namespace) -> dict[str, Any]:
    return fetch.peek(settings, words.number)


def _fetch(settings: Settings, words: argparse.Namespace) -> dict[str, Any]:
    pairs = (target.partition("=") for target in words.target)
    return fetch.fetch(settings, words.number, {name: Path(path) for name, _, path in pairs})


if __name__ == "__main__":
    sys.exit(main())
