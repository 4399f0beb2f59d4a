"""`power.pyz inputs ROLE`: what is wrong with what a role was given, as sentences; JSON on stdin.

`{"options": argument specs, "values": {input: value}, "names": [all variables of that prefix]}`,
and `"secret_options": {UPS: [names]}`; no password is among the values.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from releve.errors import ExitCode
from releve.power.inputs import primary, secondary
from releve.power.inputs.typed import misspelt, wrong_types

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROLES = {"nut_primary": primary.faults, "nut_secondary": secondary.faults}


def faults_of(role: str, asked: Mapping[str, Any]) -> list[str]:
    """Return every fault; what values mean is asked only where all are of their types.

    Raises KeyError, TypeError, AttributeError for what no role says.
    """
    options, values = asked["options"], asked["values"]
    found = [*misspelt(asked["names"], options), *wrong_types(options, values)]
    return found or list(ROLES[role](values, options, asked.get("secret_options", {})))


def main(arguments: Sequence[str]) -> int:
    """Print a JSON list of sentences; exit code 2 for an input that is none."""
    parser = argparse.ArgumentParser(prog="power.pyz inputs", description=__doc__)
    parser.add_argument("role", choices=ROLES)
    chosen = parser.parse_args(arguments)
    try:
        asked = json.load(sys.stdin)
        told = faults_of(chosen.role, asked)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        sys.stderr.write(f"power.pyz inputs: the input is none of a role ({error!r})\n")
        return ExitCode.USAGE
    sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
    return ExitCode.DONE
