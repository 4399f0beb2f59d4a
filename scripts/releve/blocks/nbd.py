"""NBD by libnbd, in the asynchronous form, with its traps guarded.

What a reader must know before a change (each was measured, see docs/decisions):
* Results are taken from `aio_command_completed` alone. A completion callback that retires its
  command accepts a reply that covered half of the request, and old bytes stay in the buffer.
* Buffers are slices of one anonymous mmap: page aligned, so that the same memory is hashed and
  written with O_DIRECT; a `nbd.Buffer` per read leaks.
* A callback must neither raise nor touch its handle: it only appends to a list.
* libnbd has no time limit of its own, so nothing here blocks without one.
* A context that does not exist is dropped in silence at connect, so each one is asked for.
* libnbd counts the bytes of a reply, not their places: a server that sends one half twice leaves
  old bytes in the other. So each sector of a buffer is marked before it is read into.
* A handle whose server died is dead for ever: connect anew, ask for what the manifest lacks.
"""

from __future__ import annotations

import mmap
import secrets
import urllib.parse
from array import array
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import nbd

from releve.blocks import nbd_uri
from releve.blocks.errors import ContextError, SourceError, StallError
from releve.blocks.extents import (
    ALLOCATION,
    BITMAP,
    Extent,
    Range,
    joined,
    overlay,
    pieces,
    whole_blocks,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Handle = Any  # a nbd.NBD: libnbd has no types
MIB = 1 << 20
STATUS_SPAN = 1 << 30  # of one block status request: servers without extended headers stop at 4 GiB
STATUS_LEAST = 4 * MIB
STATUS_RUNS = 16_384  # of one answer: a disk in small pieces is asked for less at a time
LONGEST_READ = 32 * MIB  # QEMU answers EINVAL beyond, which looks like a bad disk
CHUNK = 1 * MIB  # of one read: it is hashed while the processor still has it at hand
DEPTH = 2  # reads in flight on one connection
STALL_SECONDS = 60.0
uri = nbd_uri
SECTOR_WORDS = 64  # of 8 bytes: each sector of a buffer carries a mark until it is read into
POLL_SECONDS = 1.0  # Python sees a signal only between two polls


def nothing() -> None:
    """Do nothing: for who need not hear that work goes on."""


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


def connect(
    address: str,
    contexts: Iterable[str] = (),
    stall: float = STALL_SECONDS,
    *,
    optional: Iterable[str] = (),
) -> Handle:
    """Return a connected handle that has every context asked for, and what there is of `optional`.

    Raises ContextError when the export lacks one, StallError when the server keeps silent for
    `stall` seconds, SourceError for anything else.
    """
    names = tuple(contexts)
    handle = nbd.NBD()
    for context in (*names, *optional):
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
            _poll(handle, stall, f"{address}: connect")
        if not handle.aio_is_ready():
            message = f"{address}: the server closed the connection"
            raise SourceError(message)
        for context in names:
            if not handle.can_meta_context(context):
                message = f"{address}: the export does not offer {context}"
                raise ContextError(message)
    except nbd.Error as error:
        message = f"{address}: {error.string}"
        raise SourceError(message) from error
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


def extents(
    handle: Handle,
    contexts: Iterable[str],
    stall: float = STALL_SECONDS,
    beat: Callable[[], None] = nothing,
) -> Iterator[Extent]:
    """Yield the whole disk's extents, in order, without gap, neighbours merged.

    What the contexts say is laid one over the other; an allocation that the server does not
    offer is left out, and all counts as data. `beat` is called after each answer.
    """
    offered = [one for one in contexts if one != ALLOCATION or handle.can_meta_context(one)]
    if not offered:
        return iter([Extent(0, handle.get_size())] if handle.get_size() else [])
    return joined(_raw_extents(handle, offered, stall, beat))


def _raw_extents(
    handle: Handle, contexts: list[str], stall: float, beat: Callable[[], None]
) -> Iterator[Extent]:
    size = handle.get_size()
    position, span = 0, STATUS_SPAN
    while position < size:
        answers = _block_status(handle, min(span, size - position), position, stall)
        beat()
        if missing := [context for context in contexts if not answers.get(context)]:
            message = f"block status at {position}: the server says nothing about {missing[0]}"
            raise SourceError(message)
        before = position
        for extent in overlay(position, {one: answers[one] for one in contexts}, size):
            yield extent
            position = extent.end
        if position == before:
            message = f"block status at {position}: the server's answer covers nothing"
            raise SourceError(message)
        longest = max(len(entries) for entries in answers.values())
        if longest > 2 * STATUS_RUNS:
            span = max(STATUS_LEAST, span // 2)
        elif longest < STATUS_RUNS // 2:
            span = min(STATUS_SPAN, span * 2)


def _block_status(handle: Handle, length: int, position: int, stall: float) -> dict[str, list[int]]:
    """Return what the server says of a range, by context: length, flags, length, flags..."""
    answers: list[tuple[str, int, list[int], int]] = []

    def keep(name: str, offset: int, entries: list[int], error: Handle) -> int:
        answers.append((name, offset, entries, error.value))
        return 0

    doing = f"block status at {position}"
    try:
        cookie = handle.aio_block_status(length, position, keep)
    except nbd.Error as error:
        message = f"{doing}: {error.string}"
        raise SourceError(message) from error
    _finish(handle, cookie, stall, doing)
    return {
        name: entries
        for name, offset, entries, error in answers
        if not error and offset == position
    }


def buffer_bytes(longest: int, depth: int) -> int:
    """Return the memory that `read` needs; raise ValueError for a read that no server answers."""
    if longest > LONGEST_READ or longest % mmap.PAGESIZE:
        message = f"a read of {longest} bytes: whole pages up to {LONGEST_READ} are possible"
        raise ValueError(message)
    return longest * depth


def read(
    handle: Handle,
    jobs: Iterator[Range],
    *,
    longest: int = CHUNK,
    depth: int = DEPTH,
    stall: float = STALL_SECONDS,
    memory: memoryview | None = None,
) -> Iterator[tuple[int, memoryview]]:
    """Read `jobs` (each at most `longest` bytes) with `depth` requests in flight.

    Yields (offset, bytes) in the order of the jobs; the bytes live in `memory` (whole pages), in
    a place that is used again after the next step. Raises SourceError when a reply does not
    cover its request.
    """
    whole = buffer_bytes(longest, depth)
    memory = memoryview(mmap.mmap(-1, whole)) if memory is None else memory
    free = deque(memory[start : start + longest] for start in range(0, whole, longest))
    flying: deque[tuple[Range, memoryview, int, int]] = deque()
    more = True
    while True:
        while free and more:
            job = next(jobs, None)
            if job is None:
                more = False
                break
            if job.length > longest:
                message = f"a read of {job.length} bytes into a buffer of {longest}"
                raise ValueError(message)
            view = free.popleft()
            mark = _marked(view[: job.length])
            flying.append((job, view, mark, _submit(handle, job, view)))
        if not flying:
            return
        job, view, mark, cookie = flying.popleft()
        doing = f"read of {job.length} bytes at {job.offset}"
        _finish(handle, cookie, stall, doing)
        if mark in _words(view[: job.length])[::SECTOR_WORDS].tolist():
            message = f"{doing}: the server's answer does not cover all of it"
            raise SourceError(message)
        yield job.offset, view[: job.length]
        free.append(view)


def _words(view: memoryview) -> memoryview:
    return view[: len(view) - len(view) % 8].cast("Q")


def _marked(view: memoryview) -> int:
    """Put a mark that no disk holds at the begin of every sector; return it."""
    mark = secrets.randbits(64)
    words = _words(view)
    count = -(-len(words) // SECTOR_WORDS)
    words[::SECTOR_WORDS] = memoryview(array("Q", [mark]) * count)
    return mark


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

    A bitmap's context gives its dirty blocks; `base:allocation` gives the whole disk. What reads
    as zeros is a change without data. `block` is in bytes, a divisor of `longest`. Raises as
    `connect`.
    """
    bitmap = context.startswith(BITMAP)
    handle = connect(address, [context], stall, optional=[ALLOCATION] if bitmap else ())
    contexts = [context, ALLOCATION] if bitmap else [context]
    size = handle.get_size()
    holes: deque[Range] = deque()

    def wanted() -> Iterator[Extent]:
        for one in whole_blocks(extents(handle, contexts, stall), size, block):
            if one.dirty and one.zero:
                holes.append(Range(one.offset, one.length))
            elif one.dirty:
                yield one

    try:
        jobs = pieces(wanted(), longest)
        for offset, view in read(handle, jobs, longest=longest, depth=depth, stall=stall):
            while holes and holes[0].offset < offset:
                yield Change(*holes.popleft(), None)
            yield Change(offset, len(view), view)
        while holes:
            yield Change(*holes.popleft(), None)
    finally:
        close(handle)
