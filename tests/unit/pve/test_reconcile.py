"""The plan names what differs and nothing else, and stops before it could do harm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from releve.errors import InputError, RefusedError
from releve.pve.reconcile import (
    UNREADABLE,
    Action,
    checked,
    plan,
    refuse_unsafe,
    render,
)

if TYPE_CHECKING:
    from releve.pve.kinds import Fields

DIR: Fields = {"type": "dir", "path": "/srv/vmdata", "content": ["images", "iso"]}


def test_what_is_there_in_another_order_is_no_difference() -> None:
    found: Fields = {"type": "dir", "path": "/srv/vmdata", "content": "iso,images", "digest": "x"}

    assert plan({"storage": {"vmdata": found}}, {"storage": {"vmdata": DIR}}) == []


def test_what_pve_leaves_out_is_its_default() -> None:
    wanted: Fields = {**DIR, "disable": False}
    found: Fields = {"type": "dir", "path": "/srv/vmdata", "content": "iso,images"}

    assert plan({"storage": {"vmdata": found}}, {"storage": {"vmdata": wanted}}) == []


def test_a_difference_is_shown_with_both_values() -> None:
    found: Fields = {"type": "dir", "path": "/srv/vmdata", "content": "images"}

    steps = plan({"storage": {"vmdata": found}}, {"storage": {"vmdata": DIR}})

    assert render(steps) == "~ storage vmdata\n    content: images -> images,iso"


def test_what_must_not_be_there_goes_last_and_backwards() -> None:
    steps = plan(
        {"user": {"a@pve": {}}, "pool": {"p": {}}},
        {"user": {"a@pve": None}, "pool": {"p": None}, "role": {"R": {"privs": "VM.Audit"}}},
    )

    assert [(step.action, step.title) for step in steps] == [
        (Action.CREATE, "role R"),
        (Action.DELETE, "pool p"),
        (Action.DELETE, "user a@pve"),
    ]


def test_what_the_town_does_not_name_is_left_alone() -> None:
    assert plan({"pool": {"other": {"comment": "x"}}}, {"pool": {}}) == []


def test_a_fixed_field_stops_the_run() -> None:
    found: Fields = {"type": "dir", "path": "/elsewhere", "content": "iso,images"}
    steps = plan({"storage": {"vmdata": found}}, {"storage": {"vmdata": DIR}})

    with pytest.raises(RefusedError, match="path is /elsewhere, must be /srv/vmdata, which PVE"):
        refuse_unsafe(steps)


def test_what_cannot_be_seen_is_not_missing() -> None:
    steps = plan({"pool": {"p": UNREADABLE}}, {"pool": {"p": {"comment": "x"}}})

    assert [step.action for step in steps] == [Action.UNREADABLE]
    with pytest.raises(RefusedError, match=r"needs Pool\.Audit or Pool\.Allocate on /pool/p"):
        refuse_unsafe(steps)


def test_a_token_whose_secret_is_lost_differs() -> None:
    to_be = checked({"token": {"a@pve!t": {"comment": "x"}}})

    steps = plan({"token": {"a@pve!t": {"comment": "x", "secret": "lost"}}}, to_be)

    assert [change.field for step in steps for change in step.changes] == ["secret"]


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(InputError, match='"pools" is no kind of PVE object; there are role, user'):
        checked({"pools": {}})
