"""A server that answers short, lies or dies gets no byte of it taken for good (traps T1, T3-T5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.blocks.liar import SIZE, Liar

from releve.blocks.manifest import Manifest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.blocks.conftest import Worker

pytestmark = pytest.mark.slow

CHUNK = 1 << 20


@pytest.mark.parametrize(
    "lie",
    [
        "half",
        "one half twice",
        "too much",
        "elsewhere",
        "another cookie",
        "error after half",
        "dies in the middle",
        "stalls in the middle",
        "rubbish",
        "grows",
        "status fails",
        "status says nothing",
        "status of no length",
    ],
)
def test_nothing_of_a_lie_is_taken_for_good(tmp_path: Path, worker: Worker, lie: str) -> None:
    liar = Liar(tmp_path / "l", lie)

    refused = worker.run("seed", f"--source={liar.uri}", f"--target={worker.target}", "--stall=1")

    assert refused["event"] == "failed"
    assert refused["kind"] in {"source", "stall"}
    manifest = Manifest.open(worker.state / "manifest")
    assert [one.length for one in manifest.unknown()] == [SIZE], "a block counts as good"
    assert b"N" not in worker.target.read_bytes()


def test_what_came_before_the_lie_is_kept_and_nothing_more(tmp_path: Path, worker: Worker) -> None:
    liar = Liar(tmp_path / "l", "half", honest=2)

    refused = worker.run(
        "seed", f"--source={liar.uri}", f"--target={worker.target}", "--connections=1"
    )

    assert refused["kind"] == "source"
    manifest = Manifest.open(worker.state / "manifest")
    assert [tuple(one) for one in manifest.unknown()] == [(2 * CHUNK, SIZE - 2 * CHUNK)]
    data = worker.target.read_bytes()
    assert data[: 2 * CHUNK] == b"G" * (2 * CHUNK)
    assert not any(data[2 * CHUNK :])


def test_a_hole_in_an_answer_is_zeros_whatever_the_buffer_held(
    tmp_path: Path, worker: Worker
) -> None:
    liar = Liar(tmp_path / "l", "holes", honest=2)

    done = worker.run(
        "seed", f"--source={liar.uri}", f"--target={worker.target}", "--connections=1"
    )

    assert done["event"] == "done"
    assert worker.target.read_bytes() == b"G" * (2 * CHUNK) + bytes(SIZE - 2 * CHUNK)
