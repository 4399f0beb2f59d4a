"""The worker: `python3 blocks.pyz seed|round|delta|verify|audit`, one JSON object a line on stdout.

Lines are `progress` (about once a second), then one `done` with the counts, or one `failed` with
a stable `kind` and one sentence. The state folder holds the manifest, the journal and a lock.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import select
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from releve.blocks import crash, nbd
from releve.blocks.check import check_source, check_target
from releve.blocks.copy import Mover
from releve.blocks.delta import Delta
from releve.blocks.errors import BlocksError, BusyError, DifferenceError, ManifestError
from releve.blocks.hashes import HashesError, HashList
from releve.blocks.journal import Journal
from releve.blocks.manifest import BLOCK, Manifest
from releve.blocks.schedule import parse
from releve.blocks.source import Options
from releve.blocks.volume import Volume

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRESS_SECONDS = 1.0
LOCK_SECONDS = 10.0  # an earlier worker ends soon after its controller is gone
EXIT_FAILED = 1
READ_BYTES = 65_536


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
    if path.exists():
        with contextlib.suppress(ManifestError):
            return Manifest.open(path, run=args.run)
    handle = nbd.connect(args.source, (), args.stall)
    size = handle.get_size()
    nbd.close(handle)
    manifest = Manifest.create(path, size, block=args.block, run=args.run)
    crash.here("manifest-made")
    return manifest


def lines_of(path: str, stall: float) -> Iterator[str]:
    """Yield the lines of a list of hashes, `-`: standard input; not longer silent than `stall`."""
    try:
        descriptor = 0 if path == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        message = f"{path}: {error.strerror}"
        raise HashesError(message) from error
    rest = b""
    while True:
        if not select.select([descriptor], [], [], stall)[0]:
            message = f"list of hashes: nothing came for {stall:g} s"
            raise HashesError(message)
        data = os.read(descriptor, READ_BYTES)
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace")
        if not data:
            return  # a last line without its end was torn


def options_of(args: argparse.Namespace) -> Options:
    """Return how to move; raise ScheduleError when the bandwidth cannot be understood."""
    return Options(
        connections=args.connections,
        checkpoint=args.checkpoint << 20,
        stall=args.stall,
        limit=parse(args.bandwidth, args.zone),
        read_back=getattr(args, "read_back", False),
    )


def move(args: argparse.Namespace, tell: Teller) -> dict[str, Any]:
    """Run `seed`, `round` or `delta` and return its counts."""
    if args.verb == "seed":
        manifest = manifest_for_seed(args)
    else:
        manifest = Manifest.open(args.state / "manifest", run=args.run)
    options = options_of(args)
    volume = Volume(args.target, manifest.size)
    journal = Journal(args.state / "journal.jsonl")
    mover = Mover(volume, manifest, journal, options, tell)
    if args.verb == "seed":
        return mover.seed(args.source)
    if args.verb == "round":
        return mover.round(args.source, args.bitmap)
    if not args.hashes:
        return Delta(mover).run(args.source)
    unit = manifest.block if args.unit == "blocks" else 1
    lines = lines_of(args.hashes, args.stall)
    return Delta(mover).run(args.source, HashList(lines, manifest.size, manifest.block, unit=unit))


def check(args: argparse.Namespace, tell: Teller) -> dict[str, Any]:
    """Run `verify` or `audit`; raise DifferenceError when a block is not as the manifest says."""
    manifest = Manifest.open(args.state / "manifest", run=args.run)
    if args.verb == "verify":
        where = args.target
        verdict = check_target(Volume(args.target, manifest.size), manifest, tell)
    else:
        where = args.source
        verdict = check_source(args.source, manifest, tell, options_of(args))
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
        "delta": "compare hashes and copy only the blocks that differ",
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
        if verb != "verify":
            one.add_argument(
                "--bandwidth",
                "--schedule",
                default="0",
                help="MiB/s, or by the hours of the week: `mo-fr 08:00-18:00 20; sa pause`",
            )
            one.add_argument("--zone", default="", help="time zone of these hours: Europe/Brussels")
            one.add_argument("--connections", type=int, default=4)
            one.add_argument("--checkpoint", type=int, default=512, help="MiB between two")
    verbs.choices["seed"].add_argument("--block", type=int, default=BLOCK, help="bytes")
    verbs.choices["round"].add_argument("--bitmap", required=True)
    for verb in ("round", "delta"):
        verbs.choices[verb].add_argument(
            "--read-back", action="store_true", help="read what was written, and compare it"
        )
    delta = verbs.choices["delta"]
    delta.add_argument("--hashes", help="list made by the source's host, `-`: standard input")
    delta.add_argument("--unit", choices=("bytes", "blocks"), default="bytes", help="of offsets")
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
