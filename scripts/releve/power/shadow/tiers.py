"""Mode policy in the shadow: the real driver of the virtual UPSes, on decisions of the room's own.

The drivers read the played UPS from the room's upsd, decide by the ladder as they would, and write
where they write; that folder is an empty one in the room's memory, so no decision outlives it.
For the turn of the time on battery the site's is made short, as upssched's timer is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from releve.errors import CheckError
from releve.power.cycle import Files
from releve.power.shadow import config, sandbox

SETTINGS = Path("/etc/releve/policy.json")  # as the driver reads it
DRIVER = Path("/usr/lib/nut") / config.POLICY
# How long the site stays on battery in its turn: longer than the policy takes to hear of both.
SECONDS = 10


def shortened(text: str, seconds: int) -> str:
    """Return the policy's settings with no tier longer on battery than so; pure.

    Raises CheckError where they are none that the driver could read.
    """
    each = _read(text)
    for one in each:
        for tier in one["tiers"]:
            if tier.get("after") is not None:
                tier["after"] = min(seconds, tier["after"])
    return json.dumps(each)


def has_a_time(text: str) -> bool:
    """Whether some site stops after a time on battery; raises CheckError as `shortened`."""
    return any(one["tiers"] and one["tiers"][0].get("after") is not None for one in _read(text))


def folders(text: str) -> tuple[str, ...]:
    """Return where decisions are written; raises CheckError as `shortened`."""
    return tuple(dict.fromkeys(str(one["folder"]) for one in _read(text)))


def why(text: str, tier: str) -> str:
    """Return why a tier stops, as its driver wrote it; nothing while it has not decided."""
    found = (Files(Path(folder)).read(tier) for folder in folders(text))
    return next((one.why for one in found if one is not None), "")


def enter(text: str, room: Path, *, short: bool) -> None:
    """Let the drivers of this room decide here alone; raises CheckError."""
    for number, folder in enumerate(folders(text)):
        real = Path(folder)
        if not real.is_dir():
            message = f"{folder}, where decisions are written, is not there: apply power.yml"
            raise CheckError(message)
        empty = room / f"decisions-{number}"
        empty.mkdir()
        sandbox.alike(empty, real)
        sandbox.bind(empty, folder)
    if short:
        file = room / "policy.json"
        file.write_text(shortened(text, SECONDS), encoding="utf-8")
        sandbox.alike(file, SETTINGS)
        sandbox.bind(file, str(SETTINGS))


def _read(text: str) -> list[dict[str, Any]]:
    try:
        each = json.loads(text)
        for one in each:
            if not isinstance(one["folder"], str) or not one["tiers"]:
                raise TypeError(one)  # told below as what it is
            for tier in one["tiers"]:
                tier["name"]
    except (ValueError, TypeError, KeyError) as error:
        message = f"{SETTINGS} cannot be read ({type(error).__name__}): apply playbooks/power.yml"
        raise CheckError(message) from error
    return list(each)
