"""The program on the UPS's host: `python3 power.pyz VERB ...`."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import NamedTuple

from releve.errors import ExitCode, ReleveError

HELP = ("-h", "--help")


class Verb(NamedTuple):
    """A verb: the module whose `main(arguments)` it is, loaded only when it is called.

    `takes`: what stands after one that knows no options of its own; None: it explains itself.
    """

    module: str
    what: str
    takes: str | None = None


VERBS = {
    "abort-backups": Verb("backups", "before a shutdown, end backups and wait for locked guests"),
    "await-clients": Verb("await_clients", "stay until the clients have logged out"),
    "believe": Verb("believe", "say what a UPS can be believed about"),
    "budget": Verb("budget", "reckon what a shutdown needs, from settings on stdin", ""),
    "delays": Verb("delays", "say which delays drivers really take, from devices on stdin"),
    "gate": Verb("gate", "say whether this host is guarded, now"),
    "guest-stops": Verb("stop_history", "say how each guest ended at the last stops"),
    "hostrule": Verb("hostrule", "shut this host down when it hears nobody any more", "CONFIG"),
    "inputs": Verb("inputs.verb", "judge what a role was given, from stdin"),
    "lint": Verb("lint.verb", "judge NUT's files; --host: this host's own"),
    "look": Verb("look", "print what upsd says of a UPS, as JSON"),
    "measure": Verb("measuring", "test a UPS and keep what was seen"),
    "notify": Verb("notify", "send alarms, and try whether they arrive"),
    "policy": Verb("policy", "be the driver of a virtual UPS; upsdrvctl calls it", "-a NAME"),
    "rewake": Verb("rewake", "wake who stays dark after a power cut", "CONFIG"),
    "shadow": Verb("shadow", "play a power cut to this host's NUT; nothing stops"),
    "state": Verb("state", "say how the UPSes and their batteries are"),
    "start-late": Verb("late", "start guests whose storage came too late for the boot"),
    "stop-rest": Verb("rest", "stop the guests that still run in a shutdown"),
    "test-battery": Verb("battery", "make a scheduled test of a battery"),
    "thresholds": Verb("set_stock", "say, or set, what counts as a low battery"),
    "watch": Verb("watching", "see that each UPS is heard and changes", "CONFIG"),
    "watch-budget": Verb("budget_watch", "reckon the budget anew for the guests of now"),
}


def main() -> int:
    """Run a verb; return its exit code."""
    name, arguments = (sys.argv[1] if len(sys.argv) > 1 else ""), sys.argv[2:]
    if name in HELP:
        sys.stdout.write(_overview())
        return ExitCode.DONE
    if name not in VERBS:
        sys.stderr.write(f"power.pyz: there is no verb {name!r}\n" if name else "")
        sys.stderr.write(_overview())
        return ExitCode.USAGE
    verb = VERBS[name]
    if verb.takes is not None and (told := _usage(name, verb, arguments)) is not None:
        return told
    try:
        code: int = import_module(f"releve.power.{verb.module}").main(arguments)
    except ReleveError as error:
        sys.stderr.write(f"power.pyz {name}: {error}\n")
        return error.exit_code
    return code


def _overview() -> str:
    lines = [f"  {name:<15}{verb.what}" for name, verb in VERBS.items()]
    return "\n".join(["usage: power.pyz VERB ...; VERB --help says more", "", *lines, ""])


def _usage(name: str, verb: Verb, arguments: list[str]) -> ExitCode | None:
    """Explain a verb without options of its own, when asked to or called wrongly."""
    usage = f"usage: power.pyz {name} {verb.takes}".rstrip() + "\n"
    if arguments and arguments[0] in HELP:
        sys.stdout.write(f"{usage}\n{verb.what}\n")
        return ExitCode.DONE
    if verb.takes in {"", "CONFIG"} and len(arguments) != len(verb.takes.split()):
        sys.stderr.write(usage)
        return ExitCode.USAGE
    return None


if __name__ == "__main__":
    sys.exit(main())
