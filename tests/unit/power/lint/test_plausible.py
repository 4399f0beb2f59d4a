"""Sets as people write them after a how-to, each judged by what NUT 2.8.1 makes of it.

The verdict beside each was worked out from NUT's source and manuals, not from this linter.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import pytest

from releve.power.lint.read import read_texts
from releve.power.lint.verdict import judge

PASSWORD = "k3vQ8wZrT1xN"  # noqa: S105  # of nobody
OTHER = "u6Jf0pRzW4cG"
UPS = "[ups1]\n driver = usbhid-ups\n port = auto\n offdelay = 60\n ondelay = 120\n"
STOP = "/sbin/shutdown -h +0"
BASE = {
    "nut.conf": "MODE=netserver\n",
    "ups.conf": f"maxretry = 3\n{UPS}",
    "upsd.conf": "LISTEN 127.0.0.1\nLISTEN 192.0.2.11\n",
    "upsd.users": (
        f"[mon]\n password = {PASSWORD}\n upsmon primary\n"
        f"[cli]\n password = {OTHER}\n upsmon secondary\n"
    ),
    "upsmon.conf": (
        f"MONITOR ups1@localhost 1 mon {PASSWORD} primary\nMINSUPPLIES 1\n"
        f'SHUTDOWNCMD "{STOP}"\nPOWERDOWNFLAG /run/nut/killpower\nHOSTSYNC 120\nFINALDELAY 5\n'
    ),
}
CLIENT = {
    "nut.conf": "MODE=netclient\n",
    "upsmon.conf": (
        f'MONITOR ups1@192.0.2.11 1 cli {OTHER} secondary\nMINSUPPLIES 1\nSHUTDOWNCMD "{STOP}"\n'
    ),
}
SECOND = "[ups2]\n driver = usbhid-ups\n port = auto\n offdelay = 60\n ondelay = 120\n"
WATCHED = f"MONITOR ups2@localhost 1 mon {PASSWORD} primary\n"
SNMP = "[ups1]\n driver = snmp-ups\n port = 192.0.2.7\n"
V3 = f"{SNMP} snmp_version = v3\n secLevel = authPriv\n secName = nut\n authPassword = abcdefghij\n"
QX = " default.battery.voltage.low = 20.8\n default.battery.voltage.high = 26\n"
CPS = "[ups1]\n driver = usbhid-ups\n port = auto\n vendorid = 0764\n"
HEAD = "CMDSCRIPT /bin/upssched-cmd\nPIPEFN /run/nut/upssched.pipe\nLOCKFN /run/nut/upssched.lock\n"
CALLS = "NOTIFYCMD /sbin/upssched\n" + "".join(
    f"NOTIFYFLAG {event} SYSLOG+EXEC\n" for event in ("ONBATT", "ONLINE", "LOWBATT", "NOCOMM")
)


class Case(NamedTuple):
    """A set, its verdict, and what must be found besides notes."""

    files: dict[str, str]
    verdict: Literal["ok", "warn", "refuse"]
    found: str = ""


def swap(file: str, old: str, new: str) -> dict[str, str]:
    assert old in BASE[file], f"{file} has no {old}"
    return {**BASE, file: BASE[file].replace(old, new)}


def whole(file: str, text: str) -> dict[str, str]:
    return {**BASE, file: text}


def more(file: str, text: str) -> dict[str, str]:
    return {**BASE, file: BASE[file] + text}


def command(words: str) -> dict[str, str]:
    return swap("upsmon.conf", f'"{STOP}"', words)


def sched(lines: str, calls: str = CALLS) -> dict[str, str]:
    return {**more("upsmon.conf", calls), "upssched.conf": HEAD + lines}


TIMER = "AT ONBATT * START-TIMER shutdown 600\n"
CASES: dict[str, Case] = {
    "exported": Case(whole("nut.conf", "export MODE=netserver\n"), "ok"),
    "quoted": Case(whole("nut.conf", 'MODE="netserver"  # here\n'), "ok"),
    "Windows line ends": Case(whole("nut.conf", "MODE=netserver\r\n"), "refuse", "NC_MODE_UNKNOWN"),
    "a BOM before MODE": Case(
        whole("nut.conf", "\xef\xbb\xbfMODE=netserver\n"), "refuse", "NC_MODE_MISSING"
    ),
    "a BOM elsewhere": Case(whole("ups.conf", "\xef\xbb\xbf" + UPS), "ok"),
    "Windows line ends elsewhere": Case(
        {name: text.replace("\n", "\r\n") for name, text in BASE.items() if name != "nut.conf"},
        "ok",
    ),
    "a template": Case(
        whole("nut.conf", "MODE={{ mode }}\n"), "refuse", "NC_MODE_UNKNOWN NC_MODE_SPACES"
    ),
    "a name with a blank": Case(
        whole("ups.conf", UPS.replace("ups1", "my ups")), "refuse", "UC_NO_SECTION UC_LINE_IGNORED"
    ),
    "colons": Case(
        whole("ups.conf", UPS.replace(" =", ":")), "refuse",
        "UC_NO_DRIVER UC_NO_PORT UC_LINE_IGNORED",
    ),
    "a hash in desc": Case(
        more("ups.conf", ' desc = "UPS #1"\n'), "refuse", "UC_UNKNOWN_OPTION UC_LINE_IGNORED"
    ),
    "a very long line": Case(more("ups.conf", f' desc = "{"x" * 5000}"\n'), "ok"),
    "two of one kind": Case(
        whole("ups.conf", UPS + SECOND), "refuse", "UC_USB_AMBIGUOUS UM_UPS_NOT_MONITORED"
    ),
    "two by serial": Case(
        {**more("upsmon.conf", WATCHED), "ups.conf": f"{UPS} serial = A\n{SECOND} serial = B\n"},
        "ok",
    ),
    "one that is cut and not watched": Case(
        whole("ups.conf", f"{UPS} serial = A\n{SECOND} serial = B\n"), "warn",
        "UM_UPS_NOT_MONITORED",
    ),
    "one that the late hook spares": Case(
        whole("ups.conf", f"{UPS} serial = A\n{SECOND} serial = B\n sdorder = -1\n"), "ok"
    ),
    "one that the late hook cuts, as upsdrvctl drops a first line": Case(
        whole("ups.conf", f"{UPS} serial = A\n"
              + SECOND.replace("]\n", "]\n sdorder = -1\n") + " serial = B\n"),
        "warn", "UM_UPS_NOT_MONITORED",
    ),
    "settings before the first section": Case(
        whole("ups.conf", f"offdelay = 90\nmaxretry = 3\n{UPS}"), "warn", "UC_GLOBAL_IGNORED"
    ),
    "watched through a clone": Case(
        {
            **swap("upsmon.conf", "ups1@", "part@"),
            "ups.conf": f"{UPS}[part]\n driver = clone\n port = usbhid-ups-ups1\n",
        },
        "ok",
    ),
    "SNMP v3": Case(
        whole("ups.conf", f"{V3} privPassword = klmnopqrst\n"), "warn",
        "UC_NETWORK_DRIVER_KILLPOWER",
    ),
    "SNMP v3 with a short password": Case(
        whole("ups.conf", f"{V3} privPassword = klm\n"), "refuse",
        "UC_NETWORK_DRIVER_KILLPOWER UC_OPTION_VALUE",
    ),
    "SNMP v3 without a name": Case(
        whole("ups.conf", f"{SNMP} snmp_version = v3\n"), "refuse",
        "UC_NETWORK_DRIVER_KILLPOWER UC_OPTION_VALUE",
    ),
    "SNMP version 2": Case(
        whole("ups.conf", f"{SNMP} snmp_version = 2\n community = x7Kq\n"), "refuse",
        "UC_NETWORK_DRIVER_KILLPOWER UC_OPTION_VALUE",
    ),
    "a contact UPS without its type": Case(
        whole("ups.conf", "[ups1]\n driver = genericups\n port = /dev/ttyS0\n"), "refuse",
        "UC_OPTION_VALUE",
    ),
    "apc_modbus over USB": Case(
        whole("ups.conf", "[ups1]\n driver = apc_modbus\n port = auto\n porttype = usb\n"),
        "refuse", "UC_OPTION_VALUE UC_DRIVER_NEVER_CUTS",
    ),
    "apcupsd is asked over the network, and cuts nothing": Case(
        whole("ups.conf", "[ups1]\n driver = apcupsd-ups\n port = localhost\n"),
        "warn", "UC_DRIVER_NEVER_CUTS",
    ),
    "a contact UPS whose cable has no line for a cut": Case(
        whole("ups.conf", "[ups1]\n driver = genericups\n port = /dev/ttyS0\n upstype = 18\n"),
        "warn", "UC_DRIVER_NEVER_CUTS",
    ),
    "a driver that came later": Case(
        swap("ups.conf", "usbhid-ups", "hwmon_ina219"), "refuse", "UC_UNKNOWN_DRIVER"
    ),
    "blazer counts in minutes": Case(
        whole(
            "ups.conf",
            f"[ups1]\n driver = blazer_usb\n port = auto\n offdelay = 60\n ondelay = 3\n{QX}",
        ),
        "ok",
    ),
    "nutdrv_qx does not": Case(
        whole(
            "ups.conf",
            f"[ups1]\n driver = nutdrv_qx\n port = auto\n offdelay = 60\n ondelay = 3\n{QX}",
        ),
        "refuse", "UC_ONDELAY_LE_OFFDELAY",
    ),
    "safenet's own minute": Case(
        whole("ups.conf", "[ups1]\n driver = safenet\n port = /dev/ttyS0\n ondelay = 1\n"), "ok"
    ),
    "CyberPower by its name": Case(
        swap("ups.conf", "offdelay = 60", 'desc = "CyberPower CP1500"'), "warn",
        "UC_CPS_OFFDELAY_NOT_60",
    ),
    "CyberPower's minutes fall together": Case(
        whole("ups.conf", f"{CPS} offdelay = 60\n ondelay = 90\n"), "refuse",
        "UC_ONDELAY_LE_OFFDELAY",
    ),
    "no restart timer": Case(swap("ups.conf", "ondelay = 120", "ondelay = -1"), "ok"),
    "LISTEN with a colon": Case(
        whole("upsd.conf", "LISTEN 127.0.0.1\nLISTEN 192.0.2.11:3493\n"), "refuse",
        "UD_LISTEN_INVALID",
    ),
    "LISTEN to a network": Case(
        more("upsd.conf", "LISTEN 192.0.2.0/24\n"), "refuse", "UD_LISTEN_INVALID"
    ),
    "LISTEN to no address": Case(
        more("upsd.conf", "LISTEN 192.0.2.300\n"), "refuse", "UD_LISTEN_INVALID"
    ),
    "LISTEN to a part of an address": Case(
        more("upsd.conf", "LISTEN 192.0.2.11 34:93\n"), "refuse", "UD_LISTEN_INVALID"
    ),
    "LISTEN to IPv6": Case(more("upsd.conf", "LISTEN ::1 3493\nLISTEN fe80::1%eth0\n"), "ok"),
    "LISTEN to a name and a service": Case(more("upsd.conf", "LISTEN localhost nut\n"), "ok"),
    "access lists of old": Case(
        more("upsd.conf", "ACL all 0.0.0.0/0\nACCEPT all\n"), "warn", "UD_UNKNOWN_DIRECTIVE"
    ),
    "MAXAGE in words": Case(
        more("upsd.conf", "MAXAGE fifteen\n"), "warn", "UD_UNKNOWN_DIRECTIVE"
    ),
    "a role that is none": Case(
        swap("upsd.users", "upsmon primary", "upsmon_primary"), "refuse",
        "UM_USER_HAS_NO_UPSMON_ROLE UU_UNKNOWN_KEY UU_USER_WITHOUT_RIGHTS",
    ),
    "single quotes round a password": Case(
        swap("upsd.users", PASSWORD, f"'{PASSWORD}'"), "refuse",
        "UM_WRONG_PASSWORD UU_PASSWORD_CHARS",
    ),
    "rights with commas": Case(
        swap("upsd.users", "primary", "primary\n instcmds = ALL"), "warn",
        "UU_MONITOR_USER_TOO_STRONG",
    ),
    "capitals": Case(swap("upsmon.conf", " primary", " MASTER"), "ok"),
    "a value behind a comment": Case(
        swap("upsmon.conf", "HOSTSYNC 120", "HOSTSYNC 120 # seconds"), "ok"
    ),
    "no newline at the end": Case(whole("upsmon.conf", BASE["upsmon.conf"].rstrip("\n")), "ok"),
    "old Macintosh": Case(
        whole("upsmon.conf", BASE["upsmon.conf"].replace("\n", "\r")), "refuse",
        "UM_NO_SHUTDOWNCMD UM_NO_POWERDOWNFLAG UM_HOSTSYNC_DEFAULT",
    ),
    "a quote that stays open": Case(
        whole("upsmon.conf", f'NOTIFYMSG ONLINE "UPS on line\n{BASE["upsmon.conf"]}'), "refuse",
        "UM_NO_MONITOR UM_NO_SHUTDOWNCMD",
    ),
    "a client": Case(CLIENT, "ok"),
    "a client with the package's empty files": Case(
        {**CLIENT, "ups.conf": "maxretry = 3\n", "upsd.conf": "", "upsd.users": ""}, "ok"
    ),
    "a client of a URL": Case(
        {**CLIENT, "upsmon.conf": CLIENT["upsmon.conf"].replace("@", "@http://")}, "refuse",
        "UM_HOST_INVALID",
    ),
    "a client of a gap": Case(
        {**CLIENT, "upsmon.conf": CLIENT["upsmon.conf"].replace("192.0.2.11", "<IP>")}, "refuse",
        "UM_HOST_INVALID",
    ),
    "a client over IPv6": Case(
        {**CLIENT, "upsmon.conf": CLIENT["upsmon.conf"].replace("192.0.2.11", "[2001:db8::2]")},
        "ok",
    ),
    "an empty flag": Case(
        swap("upsmon.conf", "/run/nut/killpower", '""'), "refuse", "UM_NO_POWERDOWNFLAG"
    ),
    "USB on a named device": Case(swap("ups.conf", "port = auto", "port = /dev/ttyUSB0"), "ok"),
    "Synology's empty command": Case(command('""'), "refuse", "UM_SHUTDOWNCMD_NOOP"),
    "no quotes": Case(command(STOP), "warn", "UM_SHUTDOWN_PLUS_ONE_MINUTE"),
    "single quotes": Case(command(f"'{STOP}'"), "refuse", "UM_SHUTDOWNCMD_NOOP"),
    "a shell in quotes": Case(command('"/bin/sh -c \\"shutdown -h now\\""'), "ok"),
    "a variable before": Case(command('"LANG=C shutdown -h now"'), "ok"),
    "a grace of old": Case(command('"/sbin/shutdown -t 5 -h now"'), "ok"),
    "quotes within": Case(command("\"/sbin/shutdown -h '+0'\""), "ok"),
    "BSD's letter": Case(command('"/sbin/shutdown -p now"'), "refuse", "UM_SHUTDOWNCMD_NOOP"),
    "Windows's words": Case(command('"shutdown /s /t 0"'), "refuse", "UM_SHUTDOWNCMD_NOOP"),
    "a cut in place of a stop": Case(
        command('"/sbin/upsdrvctl shutdown"'), "refuse", "UM_SHUTDOWNCMD_CUTS"
    ),
    "a cut beside a stop": Case(
        command(f'"upscmd -u a -p b ups1 load.off.delay 30; {STOP}"'), "refuse",
        "UM_SHUTDOWNCMD_CUTS",
    ),
    "a message that says shutdown": Case(
        command("\"wall 'shutdown -h now'\""), "refuse", "UM_SHUTDOWNCMD_NOOP"
    ),
    "a timer and its end": Case(sched(f"{TIMER}AT ONLINE * CANCEL-TIMER shutdown\n"), "ok"),
    "an end of another name": Case(
        sched(f"{TIMER}AT ONLINE * CANCEL-TIMER Shutdown\n"), "refuse",
        "US_BLIP_SHUTS_DOWN US_TIMER_NEVER_CANCELLED US_CANCELS_UNKNOWN_TIMER",
    ),
    "an end that comes with another event": Case(
        sched(f"{TIMER}AT LOWBATT * CANCEL-TIMER shutdown\n"), "refuse", "US_BLIP_SHUTS_DOWN"
    ),
    "an end without EXEC": Case(
        sched(
            f"{TIMER}AT ONLINE * CANCEL-TIMER shutdown\n",
            CALLS.replace("ONLINE SYSLOG+EXEC", "ONLINE SYSLOG"),
        ),
        "refuse", "US_BLIP_SHUTS_DOWN US_NOT_CALLED",
    ),
    "a timer at a low battery": Case(
        sched("AT LOWBATT * START-TIMER shutdown 30\nAT ONLINE * CANCEL-TIMER shutdown\n"),
        "warn", "US_LOWBATT_WITHOUT_OB_CHECK",
    ),
    "a lost link that stops the site": Case(
        sched("AT NOCOMM * EXECUTE shutdown\n"), "warn", "US_STOPS_ON_MAINS"
    ),
    "messages": Case(
        sched("AT ONBATT * EXECUTE onbatt\nAT ONLINE * EXECUTE online\nAT NOCOMM * EXECUTE gone\n"),
        "ok",
    ),
    # --- what public sets and guides have besides -------------------------------------------------
    "a heredoc, pasted whole": Case(
        more("upsd.users", "EOF\nchown root:nut /etc/nut/upsd.users\n"), "warn", "UU_UNKNOWN_KEY"
    ),
    "another program's file": Case(
        whole("nut.conf", '{\n "server": {"port": 9000}\n}\n'), "refuse", "NC_MODE_MISSING"
    ),
    "typographic quotes": Case(
        command("\xe2\x80\x9c/sbin/shutdown -h now\xe2\x80\x9d"), "warn",
        "UM_SHUTDOWN_PLUS_ONE_MINUTE",
    ),
    "a stop that only writes": Case(command('"/usr/bin/sync"'), "refuse", "UM_SHUTDOWNCMD_NOOP"),
    "quotes that end too early": Case(
        command("\"/bin/sh -c 'ssh -l \"root\" 192.0.2.4 poweroff'\""), "refuse",
        "UM_SHUTDOWNCMD_NOOP",
    ),
    "written as ups.conf": Case(
        swap("upsmon.conf", "SHUTDOWNCMD ", "SHUTDOWNCMD = "), "refuse",
        "UM_SHUTDOWNCMD_NOOP UM_EQUALS",
    ),
    "a directive that is none": Case(
        more("upsmon.conf", "MINSUPPLY 5\n"), "warn", "UM_UNKNOWN_DIRECTIVE"
    ),
    "three on hiddev, told apart": Case(
        {
            **more("upsmon.conf", WATCHED + WATCHED.replace("ups2", "ups3")),
            "ups.conf": "".join(
                UPS.replace("ups1", f"ups{one}").replace("auto", f"/dev/usb/hiddev{one}")
                + f" serial = 4B12{one}\n"
                for one in (1, 2, 3)
            ),
        },
        "ok",
    ),
    "a bus of one digit": Case(more("ups.conf", " bus = 1\n"), "refuse", "UC_OPTION_VALUE"),
    "a vendor as in C": Case(more("ups.conf", " vendorid = 0x51d\n"), "refuse", "UC_OPTION_VALUE"),
    "a subdriver alone": Case(
        whole(
            "ups.conf", f"[ups1]\n driver = nutdrv_qx\n port = auto\n subdriver = cypress\n{QX}"
        ),
        "refuse", "UC_OPTION_VALUE",
    ),
    "blazer, off for long": Case(
        whole(
            "ups.conf",
            f"[ups1]\n driver = blazer_usb\n port = auto\n offdelay = 600\n ondelay = 5\n{QX}",
        ),
        "ok",
    ),
    "an off delay of -1": Case(
        swap("ups.conf", "offdelay = 60", "offdelay = -1"), "refuse",
        "UC_OFFDELAY_NEVER UC_OFFDELAY_SHORT",
    ),
    "minutes for seconds": Case(
        more("ups.conf", " ignorelb\n override.battery.charge.low = 30\n"
             " override.battery.runtime.low = 5\n"),
        "warn", "UC_RUNTIME_LOW_SHORT",
    ),
    "a NUT of one's own build": Case(
        whole("ups.conf", f"driverpath = /usr/local/ups/bin\n{UPS}"), "refuse",
        "UC_DRIVERPATH_OTHER",
    ),
    "a driver that nobody cuts": Case(
        more("ups.conf", " sdorder = -1\n"), "refuse", "UC_ALL_SPARED"
    ),
    "a test left in": Case(
        more("ups.conf", "[test]\n driver = dummy-ups\n port = test.dev\n"), "warn",
        "UC_DUMMY_BESIDE",
    ),
    "a flag that is swept away": Case(
        swap("upsmon.conf", "/run/nut/", "/tmp/"), "refuse", "UM_FLAG_GONE"  # noqa: S108
    ),
    "a message that stops": Case(
        more("upsmon.conf", 'NOTIFYCMD "/sbin/upsmon -c fsd"\nNOTIFYFLAG ONBATT EXEC\n'), "refuse",
        "UM_NOTIFYCMD_STOPS",
    ),
    "a message that stops at a low battery": Case(
        more("upsmon.conf", 'NOTIFYCMD "/sbin/upsmon -c fsd"\nNOTIFYFLAG LOWBATT EXEC\n'), "ok"
    ),
    "a message with its time": Case(
        more("upsmon.conf", 'NOTIFYMSG ONBATT "%s: on battery since %s"\n'), "refuse",
        "UM_NOTIFYMSG_CRASH",
    ),
    "MAXCONN of a large site": Case(more("upsd.conf", "MAXCONN 4096\n"), "refuse", "UD_MAXCONN"),
    "MAXAGE in haste": Case(more("upsd.conf", "MAXAGE 3\n"), "warn", "UD_MAXAGE_SHORT"),
    "a client of half an address": Case(
        {**CLIENT, "upsmon.conf": CLIENT["upsmon.conf"].replace("192.0.2.11", "192.0.2.300")},
        "refuse", "UM_HOST_INVALID",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_set_is_judged_as_nut_takes_it(name: str) -> None:
    case = CASES[name]
    report = judge(read_texts(case.files))

    assert report.verdict == case.verdict, report.findings
    assert {one.id for one in report.findings if one.level != "note"} == {*case.found.split()}
