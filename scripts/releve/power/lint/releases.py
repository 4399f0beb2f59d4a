"""What releases of NUT after 2.8.0 learnt, and with which of them it came.

Read in their sources, v2.8.0 to v2.8.5: clients/upsmon.c and .h, server/conf.c, drivers/main.c,
drivers/Makefile.am, and what each driver hands to addvar().
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from releve.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

Release = tuple[int, int, int]
OLDEST: Release = (2, 8, 0)  # Debian 12's
DEBIAN_13: Release = (2, 8, 1)  # what a directory is taken to be for, unless it is said
KEEPS_ORDER: Release = (2, 8, 1)  # of LISTEN lines; before, the last one was bound first
CPS_DELAYS: Release = (2, 8, 3)  # usbhid-ups has 60 and 120 s of its own for CyberPower
SAFE_MESSAGES: Release = (2, 8, 4)  # upsmon looks at what a NOTIFYMSG asks for
_R1, _R2, _R3, _R4, _R5 = ((2, 8, patch) for patch in range(1, 6))

# Directives and events; what is not here is as old as 2.8.0.
UPSMON: dict[str, Release] = {
    "OFFDURATION": _R1, "POLLFAIL_LOG_THROTTLE_MAX": _R1, "SHUTDOWNEXIT": _R1,
    "ALARMCRITICAL": _R3, "OBLBDURATION": _R3, "OVERDURATION": _R3,
}  # fmt: skip
UPSD: dict[str, Release] = {"ALLOW_NOT_ALL_LISTENERS": _R2}
_OFTEN = ("ECO", "ALARM", "OVER", "TRIM", "BOOST", "OTHER")
EVENTS: dict[str, Release] = {
    **dict.fromkeys(("OFF", "NOTOFF", "BYPASS", "NOTBYPASS"), _R1),
    "NOTCAL": _R2,
    **dict.fromkeys((*_OFTEN, *(f"NOT{name}" for name in _OFTEN)), _R3),
    **dict.fromkeys(("SUSPEND_STARTING", "SUSPEND_FINISHED"), _R3),
    "SHUTDOWN_HOSTSYNC": _R5,
}
DRIVERS: dict[str, Release] = {
    "apc_modbus": _R1, "sms_ser": _R1,
    "bicker_ser": _R3, "hwmon_ina219": _R3, "liebert-gxe": _R3, "nhs_ser": _R3,
    "failover": _R4, "nutdrv_hashx": _R4, "powervar_cx_ser": _R4, "powervar_cx_usb": _R4,
    "ve-direct": _R4,
    "meanwell_ntu": _R5, "must_ep2000pro": _R5, "nut-upower": _R5,
}  # fmt: skip
# Options in a section of ups.conf that any driver takes, then those that USB drivers take.
COMMON: dict[str, Release] = {
    "allow_killpower": _R1, "LIBUSB_DEBUG": _R3, "maxretry": _R3, "maxstartdelay": _R3,
    "retrydelay": _R3, "sdcommands": _R3,
}  # fmt: skip
USB: dict[str, Release] = {
    "allow_duplicates": _R1, "busport": _R1, "usb_config_index": _R2, "usb_hid_desc_index": _R2,
    "usb_hid_ep_in": _R2, "usb_hid_ep_out": _R2, "usb_hid_rep_index": _R2,
}  # fmt: skip
_HID: dict[str, Release] = {
    "disable_fix_report_desc": _R1, "onlinedischarge_calibration": _R1,
    "onlinedischarge_log_throttle_hovercharge": _R2, "onlinedischarge_log_throttle_sec": _R2,
    "onlinedischarge_onbattery": _R2, "lbrb_log_delay_sec": _R3,
    "lbrb_log_delay_without_calibrating": _R3, "powercom_sdcmd_byte_order_fallback": _R3,
    "powercom_sdcmd_discrete_delay": _R5,
}  # fmt: skip
OPTIONS: dict[str, Mapping[str, Release]] = {
    "dummy-ups": {"repeater_disable_strict_start": _R1},
    "mge-shut": _HID,
    "nutdrv_qx": {"battery_voltage_reports_one_pack": _R1, "nooutstats": _R3},
    "riello_ser": {"localcalculation": _R3},
    "riello_usb": {"localcalculation": _R2},
    "tripplite_usb": {"upsid": _R1},
    "tripplitesu": {"command_delay": _R5},
    "usbhid-ups": {
        **_HID, "interrupt_pipe_no_events_tolerance": _R3, "subdriver": _R1,
        "waitbeforereconnect": _R1,
    },
}  # fmt: skip
_QX_OLD = (
    "ablerex bestups hunnox masterguard mecer megatec/old megatec mustek q1 voltronic-qs-hex"
    " voltronic-qs voltronic zinto"
)
_QX_USB = "cypress phoenixtec phoenix ippon krauler fabula hunnox fuji sgs snr ablerex armac"
# Names that a driver takes for an option, in small letters; with another one it ends at start.
_BLAZER = {"protocol": dict.fromkeys(("megatec", "mustek", "megatec/old", "zinto"), OLDEST)}
NAMES: dict[str, Mapping[str, Mapping[str, Release]]] = {
    "blazer_ser": _BLAZER,
    "blazer_usb": {
        **_BLAZER, "subdriver": dict.fromkeys(("cypress", "phoenix", "ippon", "krauler"), OLDEST),
    },
    "nutdrv_qx": {
        "protocol": {
            **dict.fromkeys(_QX_OLD.split(), OLDEST),
            **dict.fromkeys(("gtec", "innovart31", "q2", "q6"), _R3),
            **dict.fromkeys(("innovart33", "voltronic-axpert"), _R4), "innovatae": _R5,
        },
        "subdriver": {**dict.fromkeys(_QX_USB.split(), OLDEST), "gtec": _R3},
    },
}  # fmt: skip


def release_of(text: str) -> Release:
    """Read a release as it is printed (`2.8.1`, `2.8.1-5+deb13u1`); raises InputError."""
    found = re.match(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?!\d)", text)
    said = (int(found[1]), int(found[2]), int(found[3])) if found else (0, 0, 0)
    if said < OLDEST:
        message = f'"{text}" is no release of NUT since 2.8.0; say it as 2.8.1 (`upsc -V` shows it)'
        raise InputError(message)
    return said


def shown(release: Release) -> str:
    """Return a release as people write it."""
    return ".".join(map(str, release))


def with_release(name: str, since: Mapping[str, Release]) -> str:
    """Return a name, and which NUT it came with where that is known."""
    return f"{name} (of NUT {shown(since[name])})" if name in since else name
