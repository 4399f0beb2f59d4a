"""Who may stay dark after a power cut is named before there is one."""

from __future__ import annotations

from typing import Any

import pytest

from releve.power.hands import needed_by

WOKEN = {"name": "pve2", "mac": "02:00:5e:00:53:12"}
DARK: dict[str, Any] = {"name": "nas", "mac": ""}


@pytest.mark.parametrize(
    "record", [{}, {"cut": "offered"}, {"cut": "proven"}, {"cut": "offered", "cuts_on_line": True}]
)
def test_a_client_that_nobody_can_wake_is_named(record: dict[str, Any]) -> None:
    (said,) = needed_by([WOKEN, DARK, {"name": "pc"}], record)
    assert said.startswith("nas, pc may stay dark until somebody presses the button")


def test_with_a_cut_that_was_seen_on_line_the_output_brings_them_back() -> None:
    assert list(needed_by([DARK], {"cut": "proven", "cuts_on_line": True})) == []


def test_clients_that_can_be_woken_need_nobody() -> None:
    assert list(needed_by([WOKEN, DARK | {"wake": ["/bin/true"]}], {})) == []
