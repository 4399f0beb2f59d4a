"""After a drill: an ordinary power-off or reboot of each host cuts nobody's power.

NUT's late hook sends the power command when the kill-power flag stands. A flag that a drill left
would wait there for the next reboot, weeks later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from releve.command import CommandError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from releve.drills.evidence import Evidence
    from releve.drills.ups_host import UpsHost

# What the hook asks, and the places of flags that the hook of another configuration would look at.
ASKED = """\
upsmon -K >/dev/null 2>&1 && echo "upsmon -K says yes"
for flag in /etc/killpower /run/nut/killpower; do
    if test -e "$flag"; then echo "$flag is there"; fi
done
true
"""


def judge_flags(hosts: Mapping[str, UpsHost], evidence: Evidence) -> None:
    """Look at each host; one that does not answer is no proof."""
    for name, host in hosts.items():
        try:
            said = host.ssh.run(ASKED).stdout.splitlines()
        except CommandError as error:
            note = f"{name} does not say whether it has a kill-power flag ({error.reason})"
            evidence.check(f"{name}.no-flag", passed=False, note=note)
            continue
        note = f"{'; '.join(said)}: remove it before this host is rebooted" if said else ""
        evidence.check(f"{name}.no-flag", not said, note=note)
