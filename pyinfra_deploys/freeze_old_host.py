"""Keep an old host as it is while its guests move: no upgrade, no restart by one.

Until its next start, or until `--data frozen=no`, the timers that upgrade packages are masked in
/run; nothing is written to its disks. A host without systemd has no such timers.
"""

from pyinfra.context import host
from pyinfra.operations import server

TIMERS = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "unattended-upgrades.service",
    "dnf-automatic.timer",
    "dnf-automatic-install.timer",
    "yum-cron.service",
    "pve-daily-update.timer",
)
FREEZE = """\
for unit in {units}; do
  systemctl cat "$unit" >/dev/null 2>&1 || continue
  systemctl stop "$unit" && systemctl mask --runtime --quiet "$unit" || exit 1
done
"""
THAW = """\
for unit in {units}; do
  [ "$(systemctl is-enabled "$unit" 2>/dev/null)" = masked-runtime ] || continue
  systemctl unmask --runtime --quiet "$unit" || exit 1
  [ "$(systemctl is-enabled "$unit" 2>/dev/null)" != enabled ] || systemctl start "$unit" || exit 1
done
"""

frozen = str(host.data.get("frozen", "yes")) != "no"
server.shell(
    name="Let nothing upgrade this host" if frozen else "Let this host upgrade again",
    commands=[(FREEZE if frozen else THAW).format(units=" ".join(TIMERS))],
)
