"""A move under way, as its JSON lines tell of it, and the ends that can be put to it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.scenario import watch

from releve.lab.run import environment

if TYPE_CHECKING:
    from releve.lab.topology import Lab

WORKER = "^/usr/bin/python3 /usr/local/lib/releve/blocks.pyz"
TUNNEL = "^[^ ]*ssh -N -o BatchMode"
PATIENCE = 60
SHORT = 4  # seconds: a run whose worker or tunnel was killed while it needed neither goes on

LEFT = {
    "old": "ls -A /run/releve 2>/dev/null; pgrep -a qemu-nbd;"
    " grep -E ' releve-[0-9a-f]{8}$' /root/.ssh/authorized_keys",
    "pve1": "ls -A /run/releve 2>/dev/null; pgrep -af '[b]locks.pyz';"
    " systemctl list-units --plain --no-legend 'releve-tunnel-*'",
}


class Move:
    """`releve migrate run` in a process of its own; ends with `with`, by force if need be."""

    def __init__(self, lab: Lab, *words: str) -> None:
        """Begin it."""
        self._lab = lab
        self.events: list[dict[str, Any]] = []
        self._come = threading.Condition()
        self._log = (lab.state / "log" / "move.log").open("w")
        releve = str(Path(sys.executable).with_name("releve"))
        self.process = subprocess.Popen(
            lab.workstation([releve, "migrate", "run", *words, "--json"]), cwd=lab.root,
            env=environment(lab), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=self._log, text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._come:
                self.events.append(json.loads(line))
                self._come.notify_all()
        with self._come:
            self.events.append({"event": "end"})
            self._come.notify_all()

    def __enter__(self) -> Move:
        """Give it."""
        return self

    def __exit__(self, *_error: object) -> None:
        """End it."""
        self.kill()

    def awaits(self, *names: str) -> dict[str, Any]:
        """Return the first event of one of these names; the move must not end before it."""
        deadline = time.monotonic() + PATIENCE
        with self._come:
            while True:
                for event in self.events:
                    if event["event"] in names:
                        return event
                assert not self.events or self.events[-1]["event"] != "end", self.said()
                assert self._come.wait(deadline - time.monotonic()), f"no {names}: {self.said()}"

    def ends(self, seconds: float = PATIENCE) -> bool:
        """Say whether it ends by itself in that time."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """Kill the controller."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        self._log.close()

    def strike(self, victim: str) -> str:
        """Kill controller, worker or tunnel; return who died. A run that needs neither goes on.

        Such a one loses its controller too.
        """
        pattern = {"worker": WORKER, "tunnel": TUNNEL}.get(victim)
        died = "nobody"
        if pattern is not None:
            done = self._lab.console("pve1", ["pkill", "-9", "-f", pattern], check=False)
            died = victim if done.returncode == 0 else died
            if died == victim and self.ends(SHORT):
                return died
        if self.process.poll() is None:
            self.kill()
            return "controller" if died == "nobody" else f"{died}, controller"
        return died

    def said(self) -> str:
        """Return what it told a person, and its events."""
        log = (self._lab.state / "log" / "move.log").read_text()[-3000:]
        return f"{log}\n{[event['event'] for event in self.events]}"


def left(lab: Lab) -> str:
    """Return what a move left on the old host and on the node."""
    return "".join(watch.console(lab, host, f"set +e; {line}; true") for host, line in LEFT.items())
