"""PVE's privileges and the roles that come with it."""

from __future__ import annotations

_FAMILIES = {
    "Datastore": "Allocate AllocateSpace AllocateTemplate Audit",
    "Group": "Allocate",
    "Mapping": "Audit Modify Use",
    "Permissions": "Modify",
    "Pool": "Allocate Audit",
    "Realm": "Allocate AllocateUser",
    "SDN": "Allocate Audit Use",
    "Sys": "AccessNetwork Audit Console Incoming Modify PowerMgmt Syslog",
    "User": "Modify",
    "VM": "Allocate Audit Backup Clone Console Migrate PowerMgmt Replicate Snapshot",
    "VM.Config": "CDROM CPU Cloudinit Disk HWType Memory Network Options",
    "VM.GuestAgent": "Audit FileRead FileSystemMgmt FileWrite Unrestricted",
    "VM.Snapshot": "Rollback",
}
PRIVILEGES = frozenset(f"{family}.{one}" for family, of in _FAMILIES.items() for one in of.split())


def _of(*starts: str) -> frozenset[str]:
    return frozenset(one for one in PRIVILEGES if one.startswith(starts))


# What PVEAdmin may not: rights, realms, nodes' network and power, and mappings' definitions.
_KEPT_FROM_ADMIN = {
    "Mapping.Modify",
    "Permissions.Modify",
    "Realm.Allocate",
    "Sys.AccessNetwork",
    "Sys.Incoming",
    "Sys.Modify",
    "Sys.PowerMgmt",
}

BUILT_IN = {
    "Administrator": PRIVILEGES,
    "NoAccess": frozenset[str](),
    "PVEAdmin": PRIVILEGES - _KEPT_FROM_ADMIN,
    "PVEAuditor": frozenset(one for one in PRIVILEGES if one.endswith(".Audit")),
    "PVEDatastoreAdmin": _of("Datastore."),
    "PVEDatastoreUser": frozenset({"Datastore.AllocateSpace", "Datastore.Audit"}),
    "PVEMappingAdmin": _of("Mapping."),
    "PVEMappingUser": frozenset({"Mapping.Audit", "Mapping.Use"}),
    "PVEPoolAdmin": _of("Pool."),
    "PVEPoolUser": frozenset({"Pool.Audit"}),
    "PVESDNAdmin": _of("SDN."),
    "PVESDNUser": frozenset({"SDN.Audit", "SDN.Use"}),
    "PVESysAdmin": frozenset({"Sys.Audit", "Sys.Console", "Sys.Syslog"}),
    "PVETemplateUser": frozenset({"VM.Audit", "VM.Clone"}),
    "PVEUserAdmin": frozenset({"Group.Allocate", "Realm.AllocateUser", "User.Modify"}),
    "PVEVMAdmin": _of("VM."),
    "PVEVMUser": _of("VM.GuestAgent.") - {"VM.GuestAgent.Unrestricted"}
    | {"VM.Audit", "VM.Backup", "VM.Config.CDROM", "VM.Config.Cloudinit", "VM.Console"}
    | {"VM.PowerMgmt"},
}
