"""Every check, in the order in which it is shown, and those of the list that cannot be made."""

from __future__ import annotations

from releve.migrate.preflight.at_source import SOURCE
from releve.migrate.preflight.at_target import TARGET
from releve.migrate.preflight.disks import DISKS
from releve.migrate.preflight.identity import IDENTITY
from releve.migrate.preflight.inside import INSIDE
from releve.migrate.preflight.on_disk import ON_DISK
from releve.migrate.preflight.on_the_way import PATH

GROUPS = {
    "The guest at its source": SOURCE,
    "Its disks": DISKS,
    "What it sees of its machine": IDENTITY,
    "Inside the guest": INSIDE,
    "On its disks": ON_DISK,
    "The node": TARGET,
    "The way": PATH,
}
CHECKS = tuple(check for group in GROUPS.values() for check in group.checks)
BY_ID = {check.id: check for check in CHECKS}
# What the list of checks names and nothing here measures, and why.
NOT_MADE = {
    "S9": "independent disks exist on ESXi only, whose guests are exported, not tracked; the"
    " survey names them as blockers",
    "S10": "no overlay is ever made on the old host, so it needs no room for one",
    "S19": "libvirt marks a guest `custom-monitor` in its log once its monitor was asked; nothing"
    " else follows from it, so there is no verdict",
    "G9": "tools of another hypervisor do nothing without their host; they may be removed after the"
    " soak",
    "T12": "a sustained write would change the node; the seed is that test, and its rate is in the"
    " evidence",
}
