"""Values of the right type pass in silence; another one is told with what would be right."""

from __future__ import annotations

from typing import Any

import pytest

from releve.power.inputs.typed import misspelt, wrong_types

OPTIONS: dict[str, Any] = {
    "seconds": {"type": "int"},
    "share": {"type": "float"},
    "tls": {"type": "bool"},
    "addresses": {"type": "list", "elements": "str"},
    "accept": {"type": "dict"},
    "mode": {"type": "str", "choices": ["stock", "policy"]},
    "clients": {
        "type": "list",
        "elements": "dict",
        "options": {"name": {"type": "str"}, "mac": {"type": "str"}, "least": {"type": "int"}},
    },
}


@pytest.mark.parametrize(
    "values",
    [
        {"seconds": 20, "share": 0.8, "tls": False, "addresses": ["192.0.2.1"], "accept": {}},
        {"share": 1, "mode": "policy", "seconds": None},
        {"clients": [{"name": "nas", "mac": "", "least": 1, "unknown": object}]},
        {"nobody's": "matter"},
    ],
)
def test_what_is_right_is_taken_in_silence(values: dict[str, Any]) -> None:
    assert list(wrong_types(OPTIONS, values)) == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"seconds": "20"}, 'seconds: "20" is text: write 20, without quotes'),
        ({"seconds": "20 s"}, 'seconds: "20 s" is no whole number'),
        ({"seconds": 2.5}, "seconds: 2.5 is no whole number"),
        ({"seconds": True}, "seconds: true is no whole number"),
        ({"share": "0.8"}, 'share: "0.8" is text: write 0.8, without quotes'),
        ({"tls": "no"}, 'tls: "no" is neither true nor false (a hosts.ini says True or False)'),
        ({"addresses": "192.0.2.1"}, 'addresses: "192.0.2.1" is no list: write ["192.0.2.1"]'),
        ({"addresses": [19]}, "addresses[1]: 19 is no text: put it into quotes"),
        ({"addresses": ["192.0.2.1", None]}, "addresses[2]: has no value"),
        ({"clients": [None]}, "clients[1]: has no value"),
        ({"accept": ["UC_X"]}, 'accept: ["UC_X"] has no keys of its own'),
        ({"mode": "auto"}, 'mode: "auto" is not one of stock, policy'),
        # 52:54:00:12:34:56, which YAML takes for a number of base sixty
        (
            {"clients": [{"name": "nas", "mac": 41135085296}]},
            "clients[nas].mac: 41135085296 is no text: put it into quotes",
        ),
    ],
)
def test_another_type_is_told_with_what_would_be_right(values: dict[str, Any], said: str) -> None:
    assert list(wrong_types(OPTIONS, values)) == [said]


def test_a_misspelt_name_is_found_and_names_of_others_are_left_alone() -> None:
    known = ["nut_primary_hostsync", "nut_primary_policy_alarm_seconds"]

    found = list(misspelt(["nut_primary_hostsnyc", "nut_primary_verify_alarm", *known], known))

    assert found == [
        'nut_primary_hostsnyc: there is no such input; did you mean "nut_primary_hostsync"?'
    ]
