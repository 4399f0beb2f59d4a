"""NBD by libnbd, in the asynchronous form, with its traps guarded.

What a reader must know before a change (each was measured, see docs/decisions):
* Results are taken from `aio_command_completed` alone. A completion callback that retires its
  command accepts a reply that covered half of the request, and old bytes stay in the buffer.
* Buffers are slices of one anonymous mmap: page aligned, so that the same memory is hashed and
  written with O_DIRECT; a `nbd.Buffer` per read leaks.
* A callback must neither raise nor touch its handle: it only appends to a list.
* libnbd has no time limit of its own, so nothing here blocks without one.
* A context that does not exist is dropped in silence at connect, so each one is asked for.
* A handle whose server died is dead for ever: connect anew, ask for what the manifest lacks.
"""

from __future__ import annotations

import mmap
import urllib.parse
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import nbd

from releve.blocks import nbd_uri
from releve.blocks.errors import ContextError, SourceError, StallError
from releve.blocks.extents import (
    BITMAP,
    Extent,
    Range,
    clipped,
    gaps,
    joined,
    pieces,
    wanted,
    whole_blocks,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Handle = Any  # a nbd.NBD: libnbd has no types
MIB = 1 << 20
STATUS_SPAN = 1 << 30  # of one block status request: servers without extended headers stop at 4 GiB
LONGEST_READ = 32 * MIB  # QEMU answers EINVAL beyond, which looks like a bad disk
CHUNK = 2 * MIB  # of one read
DEPTH = 2  # reads in flight on one connection
STALL_SECONDS = 60.0
uri = nbd_uri
POLL_SECONDS = 1.0  # Python sees a signal only between two polls


class Change(NamedTuple):
    """A run of bytes that changed; `data` is None where the source reads as zeros.

    `data` lives in a reused buffer: use it before the next one is asked for.
    """

    offset: int
    length: int
    data: memoryview | None


def _check_tls(address: str) -> None:
    parts = urllib.parse.urlparse(address)
    if parts.scheme == "nbds+unix":
        message = f"{address}: TLS over a unix socket does not check who answers; use nbd+unix"
        raise SourceError(message)
    folder = urllib.parse.parse_qs(parts.query).get("tls-certificates", [""])[0]
    if not folder or not (Path(folder) / "ca-cert.pem").is_file():
        # libnbd 1.14 accepts any certificate when the folder is missing
        message = f"{address}: no ca-cert.pem in tls-certificates={folder!r}"
        raise SourceError(message)


def connect(address: str, contexts: Iterable[str] = (), stall: float = STALL_SECONDS) -> Handle:
    """Return a connected handle that has every context asked for.

    Raises ContextError when the export lacks one, StallError when the server keeps silent for
    `stall` seconds, SourceError for anything else.
    """
    names = tuple(contexts)
    handle = nbd.NBD()
    for context in names:
        handle.add_meta_context(context)
    handle.set_pread_initialize(False)
    if address.startswith("nbds"):
        _check_tls(address)
        handle.set_uri_allow_local_file(True)
    else:
        handle.set_tls(nbd.TLS_DISABLE)
    try:
        handle.aio_connect_uri(address)
        while handle.aio_is_connecting():
            _poll(handle, stall, "connect")
        if not handle.aio_is_ready():
            message = f"{address}: the server closed the connection"
            raise SourceError(message)
    except nbd.Error as error:
        message = f"{address}: {error.string}"
        raise SourceError(message) from error
    for context in names:
        if not handle.can_meta_context(context):
            message = f"{address}: the export does not offer {context}"
            raise ContextError(message)
    return handle


def close(handle: Handle) -> None:
    """Close the socket at once, without the polite end (which may wait for ever)."""
    if hasattr(handle, "close"):  # libnbd < 1.16 closes when the object goes
        handle.close()


def _poll(handle: Handle, stall: float, doing: str) -> None:
    waited = 0.0
    step = min(POLL_SECONDS, stall)
    while handle.poll(int(step * 1000)) == 0:
        waited += step
        if waited >= stall:
            message = f"{doing}: the NBD server sent nothing for {stall:g} s"
            raise StallError(message)


def _finish(handle: Handle, cookie: int, stall: float, doing: str) -> None:
    try:
        while not handle.aio_command_completed(cookie):
            _poll(handle, stall, doing)
    except nbd.Error as error:
        message = f"{doing}: {error.string}"
        raise SourceError(message) from error


def extents(handle: Handle, context: str, stall: float = STALL_SECONDS) -> Iterator[Extent]:
    """Yield the whole disk's extents in `context`, in order, without gap, neighbours merged."""
    return joined(_raw_extents(handle, context, stall))


def _raw_extents(handle: Handle, context: str, stall: float) -> Iterator[Extent]:
    size = handle.get_size()
    position = 0
    while position < size:
        answers: list[tuple[str, int, list[int], int]] = []

        def keep(
            name: str,
            offset: int,
            entries: list[int],
            error: Handle,
            into: list[tuple[str, int, list[int], int]] = answers,
        ) -> int:
            into.append((name, offset, list(entries), error.value))
            return 0

        doing = f"block status at {position}"
        cookie = handle.aio_block_status(min(STATUS_SPAN, size - position), position, keep)
        _finish(handle, cookie, stall, doing)
        before = position
        for name, offset, entries, error in answers:
            if name == context and not error and offset == position:
                for extent in clipped(offset, zip(entries[::2], entries[1::2], strict=False), size):
                    yield extent
                    position += extent.length
        if position == before:
            message = f"{doing}: the server says nothing about {context}"
            raise SourceError(message)


def read(
    handle: Handle,
    jobs: Iterator[Range],
    *,
    longest: int = CHUNK,
    depth: int = DEPTH,
    stall: float = STALL_SECONDS,
) -> Iterator[tuple[int, memoryview]]:
    """Read `jobs` (each at most `longest` bytes) with `depth` requests in flight.

    Yields (offset, bytes) in the order of the jobs; the bytes live in a buffer that is used
    again after the next step. Raises SourceError when a reply does not cover its request.
    """
    if longest > LONGEST_READ or longest % mmap.PAGESIZE:
        message = f"a read of {longest} bytes: whole pages up to {LONGEST_READ} are possible"
        raise ValueError(message)
    memory = memoryview(mmap.mmap(-1, longest * depth))
    free = deque(memory[start : start + longest] for start in range(0, longest * depth, longest))
    flying: deque[tuple[Range, memoryview, int]] = deque()
    more = True
    while True:
        while free and more:
            job = next(jobs, None)
            if job is None:
                more = False
                break
            view = free.popleft()
            flying.append((job, view, _submit(handle, job, view)))
        if not flying:
            return
        job, view, cookie = flying.popleft()
        _finish(handle, cookie, stall, f"read of {job.length} bytes at {job.offset}")
        yield job.offset, view[: job.length]
        free.append(view)


def _submit(handle: Handle, job: Range, view: memoryview) -> int:
    try:
        cookie: int = handle.aio_pread(view[: job.length], job.offset)
    except nbd.Error as error:
        message = f"read of {job.length} bytes at {job.offset}: {error.string}"
        raise SourceError(message) from error
    return cookie


def changed_blocks(
    address: str,
    context: str,
    block: int,
    *,
    longest: int = CHUNK,
    depth: int = 8,
    stall: float = STALL_SECONDS,
) -> Iterator[Change]:
    """Yield what `context` says of an export, in ascending order, in runs of whole blocks.

    A bitmap's context gives its dirty blocks; `base:allocation` gives the whole disk, holes as
    changes without data. `block` is in bytes, a divisor of `longest`. Raises as `connect`.
    """
    handle = connect(address, [context], stall)
    size = handle.get_size()
    ranges = list(whole_blocks(wanted(extents(handle, context, stall), context), size, block))
    holes = deque([] if context.startswith(BITMAP) else gaps(ranges, size))
    jobs = pieces(ranges, longest)
    try:
        for offset, view in read(handle, jobs, longest=longest, depth=depth, stall=stall):
            while holes and holes[0].offset < offset:
                yield Change(*holes.popleft(), None)
            yield Change(offset, len(view), view)
        for hole in holes:
            yield Change(*hole, None)
    finally:
        close(handle)
