"""The program on the UPS's host: `python3 power.pyz VERB ...`."""

from __future__ import annotations

import sys
from importlib import import_module

EXIT_USAGE = 2
# verb -> the module whose `main(arguments)` it is; loaded only when it is called.
VERBS = {
    "abort-backups": "backups",
    "await-clients": "await_clients",
    "believe": "believe",
    "budget": "budget",
    "delays": "delays",
    "gate": "gate",
    "guest-stops": "stop_history",
    "hostrule": "hostrule",
    "inputs": "inputs.verb",
    "lint": "lint.verb",
    "look": "look",
    "measure": "measuring",
    "notify": "notify",
    "policy": "policy",
    "rewake": "rewake",
    "shadow": "shadow",
    "state": "state",
    "start-late": "late",
    "stop-rest": "rest",
    "test-battery": "battery",
    "thresholds": "set_stock",
    "watch": "watching",
    "watch-budget": "budget_watch",
}


def main() -> int:
    """Run a verb; return its exit code."""
    verb, arguments = (sys.argv[1] if len(sys.argv) > 1 else ""), sys.argv[2:]
    if verb not in VERBS:
        sys.stderr.write(f"usage: power.pyz {'|'.join(VERBS)} ...\n")
        return EXIT_USAGE
    code: int = import_module(f"releve.power.{VERBS[verb]}").main(arguments)
    return code


if __name__ == "__main__":
    sys.exit(main())
