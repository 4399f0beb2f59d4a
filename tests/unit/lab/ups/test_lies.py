"""Each kind of lie that real UPSes tell."""

from __future__ import annotations

import pytest

from releve.lab.ups.lies import Liar, Lie


def truth(runtime: int) -> dict[str, str]:
    return {"ups.status": "OB", "battery.runtime": str(runtime)}


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        ("absent", None),
        ("0", "0"),
        ("N/A", "N/A"),
        ("frozen", "60"),
        ("x10", "400"),
        ("rising", "80"),
    ],
)
def test_a_value_lies_in_its_way_from_when_the_lie_begins(lie: Lie, said: str | None) -> None:
    liar = Liar()
    assert liar.tell(truth(100)) == truth(100)

    liar.lies = {"battery.runtime": lie}
    liar.tell(truth(60))

    assert liar.tell(truth(40)).get("battery.runtime") == said
    assert liar.tell(truth(40))["ups.status"] == "OB"


def test_a_lie_that_begins_again_freezes_anew() -> None:
    liar = Liar({"battery.runtime": "frozen"})
    liar.tell(truth(60))
    liar.lies = {}
    assert liar.tell(truth(50))["battery.runtime"] == "50"

    liar.lies = {"battery.runtime": "frozen"}
    liar.tell(truth(40))

    assert liar.tell(truth(30))["battery.runtime"] == "40"


def test_a_silent_driver_goes_on_saying_what_it_said_last() -> None:
    liar = Liar()
    liar.tell({"ups.status": "OL"})
    liar.silent = True

    assert liar.tell({"ups.status": "OB LB"}) == {"ups.status": "OL"}
