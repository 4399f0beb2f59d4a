"""The worker: `python3 blocks.pyz seed|round|verify|audit`, one JSON object a line on stdout.

Lines are `progress` (about once a second), then one `done` with the counts, or one `failed` with
a stable `kind` and one sentence. The state folder holds the manifest, the journal and a lock.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from releve.blocks import nbd
from releve.blocks.check import check_source, check_target
from releve.blocks.copy import Mover, Options
from releve.blocks.errors import BlocksError, BusyError, DifferenceError, ManifestError
from releve.blocks.extents import ALLOCATION
from releve.blocks.journal import Journal
from releve.blocks.manifest import BLOCK, Manifest
from releve.blocks.volume import Volume

PROGRESS_SECONDS = 1.0
LOCK_SECONDS = 10.0  # an earlier worker ends soon after its controller is gone
EXIT_FAILED = 1


class Teller:
    """Prints JSON lines; progress not more often than once a second, and always the last one."""

    def __init__(self) -> None:
        """Begin to count seconds."""
        self._last = 0.0

    def __call__(self, event: str, **fields: Any) -> None:  # noqa: ANN401  # JSON values
        """Print one event; a reader that is gone ends the worker (BrokenPipeError)."""
        if event == "progress":
            if time.monotonic() - self._last < PROGRESS_SECONDS:
                return
            self._last = time.monotonic()
        sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
        sys.stdout.flush()


def hold(state: Path, patience: float) -> int:
    """Lock the state folder for this process; raise BusyError when another has it for long."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > end:
                message = f"{state}: another worker is at work there; wait for its end"
                raise BusyError(message) from error
            time.sleep(0.1)
        else:
            return descriptor


def manifest_for_seed(args: argparse.Namespace) -> Manifest:
    """Open the manifest of this run; without one, begin anew and believe no block."""
    path = args.state / "manifest"
    with contextlib.suppress(ManifestError):
        return Manifest.open(path, run=args.run)
    handle = nbd.connect(args.source, [ALLOCATION], args.stall)
    size = handle.get_size()
    nbd.close(handle)
    return Manifest.create(path, size, block=args.block, run=args.run)


def move(args: argparse.Namespace, tell: Teller) -> dict[str, Any]:
    """Run `seed` or `round` and return its counts."""
    if args.verb == "seed":
        manifest = manifest_for_seed(args)
    else:
        manifest = Manifest.open(args.state / "manifest", run=args.run)
    volume = Volume(args.target, manifest.size)
    journal = Journal(args.state / "journal.jsonl")
    options = Options(
        connections=args.connections,
        checkpoint=args.checkpoint << 20,
        stall=args.stall,
        bandwidth=args.bandwidth,
    )
    mover = Mover(volume, manifest, journal, options, tell)
    if args.verb == "seed":
        return mover.seed(args.source)
    return mover.round(args.source, args.bitmap)


def check(args: argparse.Namespace, tell: Teller) -> dict[str, Any]:
    """Run `verify` or `audit`; raise DifferenceError when a block is not as the manifest says."""
    manifest = Manifest.open(args.state / "manifest", run=args.run)
    if args.verb == "verify":
        where = args.target
        verdict = check_target(Volume(args.target, manifest.size), manifest, tell)
    else:
        where = args.source
        verdict = check_source(args.source, manifest, tell, args.stall)
    counts = {**asdict(verdict), "manifest": manifest.seal()}
    Journal(args.state / "journal.jsonl").add(args.verb, **counts)
    if verdict.bad:
        message = (
            f"{where}: {verdict.bad} of {manifest.count} blocks differ from the manifest,"
            f" at bytes {', '.join(map(str, verdict.first))}"
        )
        raise DifferenceError(message)
    return counts


def parser() -> argparse.ArgumentParser:
    """Return what the worker understands."""
    top = argparse.ArgumentParser(prog="blocks.pyz", description=__doc__)
    verbs = top.add_subparsers(dest="verb", required=True)
    for verb, text in {
        "seed": "copy every block that the manifest does not know",
        "round": "copy the blocks that a bitmap calls dirty",
        "verify": "read the target back against the manifest",
        "audit": "read the source again against the manifest",
    }.items():
        one = verbs.add_parser(verb, help=text)
        one.add_argument("--state", type=Path, required=True, help="folder of manifest and journal")
        one.add_argument("--run", required=True, help="id of the run that owns the volume")
        one.add_argument("--stall", type=float, default=nbd.STALL_SECONDS, help="seconds")
        one.add_argument("--patience", type=float, default=LOCK_SECONDS, help="for another worker")
        if verb != "verify":
            one.add_argument("--source", required=True, help="NBD URI")
        if verb != "audit":
            one.add_argument("--target", required=True, help="raw file or block device")
        if verb in {"seed", "round"}:
            one.add_argument("--bandwidth", type=float, default=0, help="MiB/s at most, 0: all")
            one.add_argument("--connections", type=int, default=4)
            one.add_argument("--checkpoint", type=int, default=128, help="MiB between two")
    verbs.choices["seed"].add_argument("--block", type=int, default=BLOCK, help="bytes")
    verbs.choices["round"].add_argument("--bitmap", required=True)
    return top


def main() -> int:
    """Run one verb; return 0, or 1 after a `failed` line."""
    args = parser().parse_args()
    tell = Teller()
    start = time.monotonic()
    try:
        hold(args.state, args.patience)
        counts = check(args, tell) if args.verb in {"verify", "audit"} else move(args, tell)
    except BlocksError as error:
        tell("failed", kind=error.kind, error=str(error))
        return EXIT_FAILED
    tell("done", verb=args.verb, seconds=round(time.monotonic() - start, 3), **counts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
