"""Sets of the shapes that people post in forums and guides, none of them anybody's own.

Beside each stands what NUT 2.8.1 on Debian 13 makes of it, worked out from NUT's source before the
linter saw it: the verdict, every rule that refuses, and warnings that must be among the rest.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import pytest

from releve.power.lint.finding import Level
from releve.power.lint.read import read_texts
from releve.power.lint.verdict import judge

P, Q = "k3vQ8wZrT1xN", "u6Jf0pRzW4cG"
USB = "[ups]\n\tdriver = usbhid-ups\n\tport = auto\n"
DELAYS = "\toffdelay = 60\n\tondelay = 120\n"
USERS = (
    f"[upsmon]\n password = {P}\n upsmon primary\n[remote]\n password = {Q}\n upsmon secondary\n"
)
LISTEN = "LISTEN 127.0.0.1 3493\nLISTEN 192.0.2.10 3493\n"
MONITOR = f"MONITOR ups@localhost 1 upsmon {P} primary\n"
REST = (
    'MINSUPPLIES 1\nSHUTDOWNCMD "/sbin/shutdown -h +0"\nPOLLFREQ 5\nPOLLFREQALERT 5\nHOSTSYNC 60\n'
    "DEADTIME 15\nPOWERDOWNFLAG /etc/killpower\nRBWARNTIME 43200\nNOCOMMWARNTIME 300\n"
    "FINALDELAY 5\n"
)
SCHED = (
    "NOTIFYCMD /usr/sbin/upssched\nNOTIFYFLAG ONBATT SYSLOG+WALL+EXEC\n"
    "NOTIFYFLAG ONLINE SYSLOG+WALL+EXEC\nNOTIFYFLAG LOWBATT SYSLOG+WALL+EXEC\n"
    "NOTIFYFLAG COMMBAD SYSLOG+EXEC\nNOTIFYFLAG COMMOK SYSLOG+EXEC\n"
)
HEAD = "CMDSCRIPT /bin/upssched-cmd\nPIPEFN /run/nut/upssched.pipe\nLOCKFN /run/nut/upssched.lock\n"
SERVER = {
    "nut.conf": "MODE=netserver\n",
    "ups.conf": f"maxretry = 3\n{USB}{DELAYS}",
    "upsd.conf": LISTEN,
    "upsd.users": USERS,
    "upsmon.conf": MONITOR + REST,
}
FOLLOWER = f"MONITOR ups@192.0.2.10 1 remote {Q} secondary\n"
FOLLOWS = REST.replace("/etc", "/run/nut")
CLIENT = {"nut.conf": "MODE=netclient\n", "upsmon.conf": FOLLOWER + FOLLOWS}


class Case(NamedTuple):
    files: dict[str, str]
    verdict: Literal["ok", "warn", "refuse"]
    refused: str = ""
    warned: str = ""


def server(**texts: str) -> dict[str, str]:
    """Return the server's files with some of them changed: nut_conf=..., ups_conf=..."""
    return SERVER | {name.replace("_", ".", 1): text for name, text in texts.items()}


def client(**texts: str) -> dict[str, str]:
    return CLIENT | {name.replace("_", ".", 1): text for name, text in texts.items()}


def ups(text: str) -> dict[str, str]:
    return server(ups_conf=text)


def mon(text: str) -> dict[str, str]:
    return server(upsmon_conf=text)


def sched(text: str, flags: str = SCHED) -> dict[str, str]:
    return SERVER | {"upsmon.conf": MONITOR + REST + flags, "upssched.conf": HEAD + text}


CASES: dict[str, Case] = {
    # --- as the guides have it -------------------------------------------------------------------
    "a good server": Case(SERVER, "ok"),
    "a good client": Case(CLIENT, "ok"),
    "master and slave, the old words": Case(
        server(
            upsd_users=USERS.replace("primary", "master").replace("secondary", "slave"),
            upsmon_conf=MONITOR.replace("primary", "master") + REST,
        ),
        "ok",
    ),
    "Debian's own files, nothing filled in": Case(
        {
            "nut.conf": "MODE=none\n", "ups.conf": "maxretry = 3\n", "upsd.conf": "",
            "upsd.users": "", "upsmon.conf": 'MINSUPPLIES 1\nSHUTDOWNCMD "/sbin/shutdown -h +0"\n'
            "POLLFREQ 5\nPOLLFREQALERT 5\nHOSTSYNC 15\nDEADTIME 15\nPOWERDOWNFLAG /etc/killpower\n",
        },
        "refuse", "NC_MODE_NONE UC_NO_SECTION UU_NO_USERS UM_NO_MONITOR",
    ),
    "a Synology followed from Debian": Case(
        client(upsmon_conf="MONITOR ups@192.0.2.5 1 monuser secret slave\n"
               'MINSUPPLIES 1\nSHUTDOWNCMD "/sbin/shutdown -h +0"\nPOLLFREQ 5\nDEADTIME 15\n'
               "POWERDOWNFLAG /run/nut/killpower\n"),
        "ok",
    ),
    "a Synology's own files": Case(
        {
            "nut.conf": "MODE=netserver\n",
            "ups.conf": "user = root\n[ups]\n\tdriver = usbhid-ups\n\tport = auto\n\tcommunity =\n"
            "\tmibs = auto\n\tsnmp_version =\n\tpollinterval = 5\n",
            "upsd.conf": "LISTEN 0.0.0.0\nLISTEN ::\n",
            "upsd.users": "[monuser]\n\tpassword = secret\n\tupsmon master\n",
            "upsmon.conf": 'MONITOR ups@localhost 1 monuser secret master\nSHUTDOWNCMD ""\n'
            "MINSUPPLIES 1\nRUN_AS_USER root\nPOWERDOWNFLAG /etc/killpower\n",
        },
        "refuse", "UC_UNKNOWN_OPTION UM_SHUTDOWNCMD_NOOP", "UD_LISTEN_ALL UU_WEAK_PASSWORD",
    ),
    "a QNAP followed, its admin and 123456": Case(
        client(upsmon_conf="MONITOR qnapups@192.0.2.6 1 admin 123456 slave\n"
               'SHUTDOWNCMD "/sbin/shutdown -h now"\n'),
        "ok",
    ),
    "a TrueNAS followed, five words": Case(
        client(upsmon_conf=f"MONITOR ups@192.0.2.7 1 {P} secondary\n" + REST), "refuse",
        "UM_NO_MONITOR UM_MONITOR_FATAL",
    ),
    "Proxmox, a cable and guests": Case(
        server(nut_conf="MODE=standalone\n", upsd_conf="LISTEN 127.0.0.1 3493\n",
               upsmon_conf=MONITOR + "RUN_AS_USER root\n" + REST),
        "warn", "", "UM_RUN_AS_ROOT",
    ),
    "Home Assistant's users, a list of actions": Case(
        server(upsd_users=f"[upsmon]\npassword = {P}\ninstcmds = all\nupsmon master\n"),
        "warn", "", "UU_MONITOR_USER_TOO_STRONG",
    ),
    "LISTEN in nut.conf and upsd.user without its s": Case(
        {"nut.conf": "MODE=netserver\nLISTEN 0.0.0.0 3493\nLISTEN ::1 3493\n",
         "ups.conf": USB, "upsmon.conf": MONITOR + REST},
        "ok",
    ),
    "shutdown without a time": Case(
        mon(MONITOR + REST.replace("-h +0", "-h")), "warn", "", "UM_SHUTDOWN_PLUS_ONE_MINUTE"
    ),
    "shutdown in a minute": Case(
        mon(MONITOR + REST.replace("+0", "+1")), "warn", "", "UM_SHUTDOWN_PLUS_ONE_MINUTE"
    ),
    "TrueNAS's -P now": Case(mon(MONITOR + REST.replace("-h +0", "-P now")), "ok"),
    "FreeBSD's -p now": Case(
        mon(MONITOR + REST.replace("-h +0", "-p now")), "refuse", "UM_SHUTDOWNCMD_NOOP"
    ),
    "poweroff, no arguments": Case(mon(MONITOR + REST.replace("shutdown -h +0", "poweroff")), "ok"),
    "a stub": Case(
        mon(MONITOR + REST.replace("/sbin/shutdown -h +0", "/bin/true")), "refuse",
        "UM_SHUTDOWNCMD_NOOP",
    ),
    "one of our own scripts": Case(
        mon(MONITOR + REST.replace("/sbin/shutdown -h +0", "/usr/local/bin/stop-all.sh")), "ok"
    ),
    "a logger before it": Case(
        mon(MONITOR + REST.replace("/sbin/", "logger ups; /sbin/")), "ok"
    ),
    "suspend": Case(
        mon(MONITOR + REST.replace("/sbin/shutdown -h +0", "systemctl suspend")), "refuse",
        "UM_SHUTDOWNCMD_NOOP",
    ),
    "no kill-power flag": Case(
        mon(MONITOR + REST.replace("POWERDOWNFLAG /etc/killpower\n", "")), "refuse",
        "UM_NO_POWERDOWNFLAG",
    ),
    # --- logins ----------------------------------------------------------------------------------
    "openmediavault's random password": Case(
        server(upsd_users=f'[upsmon]\npassword = {P}"x\nupsmon master\n',
               upsmon_conf=f'MONITOR ups@localhost 1 upsmon {P}"x master\n' + REST),
        "warn", "", "UU_PASSWORD_CHARS",
    ),
    "base64 in quotes": Case(
        server(upsd_users=f'[upsmon]\npassword = "{P}=="\nupsmon master\n',
               upsmon_conf=f'MONITOR ups@localhost 1 upsmon "{P}==" master\n' + REST),
        "refuse", "UM_LOGIN_TAKEN_APART", "UU_PASSWORD_CHARS",
    ),
    "base64 without": Case(
        server(upsd_users=f"[upsmon]\npassword = {P}==\nupsmon master\n",
               upsmon_conf=f"MONITOR ups@localhost 1 upsmon {P}== master\n" + REST),
        "refuse", "UM_LOCAL_SECONDARY_NEVER_KILLS_POWER", "UM_ROLE_UNKNOWN UU_PASSWORD_SHORT",
    ),
    "a passphrase with blanks": Case(
        server(upsd_users='[upsmon]\npassword = "four words of it"\nupsmon master\n',
               upsmon_conf='MONITOR ups@localhost 1 upsmon "four words of it" master\n' + REST),
        "refuse", "UM_LOGIN_TAKEN_APART",
    ),
    "a # that is escaped in both": Case(
        server(upsd_users=f"[upsmon]\npassword = {P}\\#9\nupsmon master\n",
               upsmon_conf=f"MONITOR ups@localhost 1 upsmon {P}\\#9 master\n" + REST),
        "refuse", "UM_LOGIN_TAKEN_APART",
    ),
    "quotes in one file alone": Case(
        server(upsd_users=USERS.replace(P, f'"{P}"')), "ok"
    ),
    "the password is commented out": Case(
        server(upsd_users=USERS.replace(" password = k3", " # password = k3")), "refuse",
        "UM_USER_HAS_NO_UPSMON_ROLE", "UU_NO_PASSWORD",
    ),
    "a user of capitals": Case(
        server(upsd_users=USERS.replace("[upsmon]", "[UPSmon]")), "refuse",
        "UM_USER_NOT_IN_UPSD_USERS",
    ),
    "upsmon = master": Case(
        server(upsd_users=USERS.replace("upsmon primary", "upsmon = master")), "ok"
    ),
    "actions = upsmon master": Case(
        server(upsd_users=USERS.replace("upsmon primary", "actions = upsmon master")), "refuse",
        "UM_USER_HAS_NO_UPSMON_ROLE",
    ),
    "two users of one name": Case(
        server(upsd_users=USERS + f"[upsmon]\npassword = {Q}\nupsmon secondary\n"), "warn", "",
        "UU_DUPLICATE_USER",
    ),
    "a role and a comma": Case(
        client(upsmon_conf=FOLLOWER.replace("secondary", "secondary,") + FOLLOWS),
        "warn", "", "UM_ROLE_UNKNOWN",
    ),
    # --- where upsd listens ----------------------------------------------------------------------
    "LISTEN localhost, MONITOR 127.0.0.1": Case(
        server(upsd_conf="LISTEN localhost 3493\nLISTEN 192.0.2.10\n",
               upsmon_conf=MONITOR.replace("localhost", "127.0.0.1") + REST),
        "refuse", "UM_NOBODY_LISTENS",
    ),
    "LISTEN localhost, MONITOR localhost": Case(
        server(upsd_conf="LISTEN localhost 3493\nLISTEN 192.0.2.10\n"), "ok"
    ),
    "everywhere, version 6 alone": Case(
        server(upsd_conf="LISTEN :: 3493\n",
               upsmon_conf=MONITOR.replace("localhost", "127.0.0.1") + REST),
        "refuse", "UM_NOBODY_LISTENS", "UD_LISTEN_ALL",
    ),
    "everywhere, both": Case(
        server(upsd_conf="LISTEN 0.0.0.0 3493\nLISTEN :: 3493\n"), "warn", "", "UD_LISTEN_ALL"
    ),
    "the network alone": Case(
        server(upsd_conf="LISTEN 192.0.2.10\n"), "refuse", "UM_NOBODY_LISTENS"
    ),
    "the network alone, and it is asked there": Case(
        server(upsd_conf="LISTEN 192.0.2.10\n",
               upsmon_conf=MONITOR.replace("localhost", "192.0.2.10") + REST), "ok"
    ),
    "a colon": Case(
        server(upsd_conf="LISTEN 127.0.0.1:3493\n"), "refuse", "UD_LISTEN_INVALID"
    ),
    "a whole network": Case(
        server(upsd_conf="LISTEN 127.0.0.1\nLISTEN 192.0.2.0/24\n"), "refuse", "UD_LISTEN_INVALID"
    ),
    "another port on both sides": Case(
        server(upsd_conf="LISTEN 127.0.0.1 3500\nLISTEN 192.0.2.10 3500\n",
               upsmon_conf=MONITOR.replace("localhost", "localhost:3500") + REST), "ok"
    ),
    "an address of version 6 in brackets": Case(
        server(upsd_conf="LISTEN ::1\nLISTEN 2001:db8::9\n",
               upsmon_conf=MONITOR.replace("localhost", "[::1]:3493") + REST), "ok"
    ),
    "an address of version 6 without": Case(
        client(upsmon_conf=FOLLOWER.replace("192.0.2.10", "2001:db8::9") + REST), "refuse",
        "UM_HOST_INVALID",
    ),
    # --- devices ---------------------------------------------------------------------------------
    "no blank, and a name with dots and dashes": Case(
        server(ups_conf="[eaton-5e.850]\ndriver=usbhid-ups\nport=auto\noffdelay=60\nondelay=120\n",
               upsmon_conf=MONITOR.replace("ups@", "eaton-5e.850@") + REST), "ok"
    ),
    "pollonly, vendorid and a comment behind": Case(
        ups(f'{USB}{DELAYS}\tvendorid = 0463 # Eaton\n\tpollonly\n\tdesc = "the rack"\n'), "ok"
    ),
    "a CyberPower with 20 s": Case(
        ups(f"{USB}\tvendorid = 0764\n\toffdelay = 20\n\tondelay = 30\n"), "refuse",
        "UC_ONDELAY_LE_OFFDELAY", "UC_CPS_OFFDELAY_NOT_60 UC_OFFDELAY_SHORT",
    ),
    "a driver in capitals": Case(
        ups(f"{USB.replace('usbhid', 'USBHID')}{DELAYS}"), "refuse", "UC_UNKNOWN_DRIVER"
    ),
    "options in capitals": Case(
        ups("[ups]\n\tDriver = usbhid-ups\n\tPort = auto\n"), "refuse", "UC_UNKNOWN_OPTION"
    ),
    "the old name of a driver": Case(
        ups("[ups]\n\tdriver = newhidups\n\tport = auto\n"), "refuse", "UC_DRIVER_GONE"
    ),
    "options before the section": Case(
        ups("driver = usbhid-ups\nport = auto\n[ups]\n"), "refuse",
        "UC_NO_DRIVER UC_NO_PORT",
    ),
    "a Powerwalker by nutdrv_qx": Case(
        ups("[ups]\n\tdriver = nutdrv_qx\n\tport = auto\n\tvendorid = 0665\n\tproductid = 5161\n"
            "\tsubdriver = cypress\n\tdefault.battery.voltage.high = 27.4\n"
            "\tdefault.battery.voltage.low = 21.0\n\truntimecal = 240,100,720,50\n"),
        "warn", "", "UC_RUNTIMECAL_GUESS",
    ),
    "an APC with a low battery of its own making": Case(
        ups(f"{USB}{DELAYS}\tignorelb\n\toverride.battery.charge.low = 30\n"
            "\toverride.battery.runtime.low = 600\n"), "ok"
    ),
    "the same without ignorelb": Case(
        ups(f"{USB}{DELAYS}\toverride.battery.charge.low = 30\n"), "warn", "",
        "UC_OVERRIDE_LOW_WITHOUT_IGNORELB",
    ),
    "SNMP with the usual word": Case(
        ups("[ups]\n\tdriver = snmp-ups\n\tport = 192.0.2.20\n\tcommunity = public\n"
            "\tsnmp_version = v2c\n\tmibs = apcc\n"),
        "warn", "", "UC_SNMP_DEFAULT_COMMUNITY UC_NETWORK_DRIVER_KILLPOWER",
    ),
    "two on one bus, told apart by its port": Case(
        server(
            ups_conf=f"{USB}{DELAYS}\tbusport = 001\n" + USB.replace("[ups]", "[nas]") + DELAYS
            + "\tbusport = 002\n",
            upsmon_conf=MONITOR + MONITOR.replace("ups@", "nas@").replace(" 1 ", " 0 ") + REST,
        ),
        "warn", "", "UM_POWERVALUE_ZERO",
    ),
    "a repeater of a NAS": Case(
        ups("[ups]\n\tdriver = dummy-ups\n\tport = ups@192.0.2.5\n"), "ok"
    ),
    # --- supplies and times ----------------------------------------------------------------------
    "two supplies, one is enough": Case(
        server(
            ups_conf=f"{USB}{DELAYS}\tserial = A1\n" + USB.replace("[ups]", "[b]") + DELAYS
            + "\tserial = B2\n",
            upsmon_conf=MONITOR + MONITOR.replace("ups@", "b@") + REST,
        ),
        "ok",
    ),
    "two supplies wanted, one line": Case(
        mon(MONITOR + REST.replace("MINSUPPLIES 1", "MINSUPPLIES 2")), "refuse", "UM_POWER_TOO_LOW"
    ),
    "a negative MINSUPPLIES and no power value": Case(
        mon(MONITOR.replace(" 1 ", " 0 ") + REST.replace("MINSUPPLIES 1", "MINSUPPLIES -1")),
        "refuse", "UM_POWER_TOO_LOW", "UM_NEGATIVE UM_POWERVALUE_ZERO",
    ),
    "a power value in words": Case(
        mon(MONITOR.replace(" 1 ", " one ") + REST), "refuse", "UM_POWER_TOO_LOW"
    ),
    "DEADTIME of an hour": Case(
        mon(MONITOR + REST.replace("DEADTIME 15", "DEADTIME 3600")), "warn", "", "UM_DEADTIME_HUGE"
    ),
    "times with their units": Case(
        mon(MONITOR + REST.replace("FINALDELAY 5", "FINALDELAY 120s")), "warn", "",
        "UM_FINALDELAY_LONG",
    ),
    "directives of 2.8.3": Case(
        mon(MONITOR + REST + "ALARMCRITICAL 1\nOVERDURATION -1\n"), "warn", "",
        "UM_UNKNOWN_DIRECTIVE",
    ),
    "a user of FreeBSD": Case(
        mon(MONITOR + REST + "RUN_AS_USER uucp\n"), "warn", "", "UM_RUN_AS_OTHER"
    ),
    # --- nut.conf --------------------------------------------------------------------------------
    "a default by the shell": Case(server(nut_conf="MODE=${NUT_MODE:-netserver}\n"), "ok"),
    "a default of itself": Case(
        server(nut_conf="MODE=${MODE:-netserver}\n"), "refuse", "NC_MODE_UNKNOWN"
    ),
    "blanks": Case(server(nut_conf="MODE = netserver\n"), "refuse", "NC_MODE_SPACES"),
    "a server that is called client": Case(
        server(nut_conf="MODE=netclient\n"), "refuse",
        "NC_CLIENT_WITH_DRIVERS UM_LOCAL_MONITOR_IN_NETCLIENT",
    ),
    "a wait for the race": Case(
        server(nut_conf="MODE=netserver\nPOWEROFF_WAIT=15m\nUPSD_OPTIONS=\"-4\"\n"), "ok"
    ),
    # --- upssched --------------------------------------------------------------------------------
    "a timer as TrueNAS has it": Case(
        sched("AT ONBATT * START-TIMER SHUTDOWN 600\nAT ONLINE * CANCEL-TIMER SHUTDOWN\n"
              "AT ONBATT * EXECUTE NOTIFY-ONBATT\nAT COMMBAD * START-TIMER NOTIFY-COMMBAD 10\n"
              "AT COMMOK * CANCEL-TIMER NOTIFY-COMMBAD COMMOK\n"), "ok"
    ),
    "a timer that nobody cancels": Case(
        sched("AT ONBATT * START-TIMER shutdown 300\n"), "refuse", "US_BLIP_SHUTS_DOWN",
        "US_TIMER_NEVER_CANCELLED",
    ),
    "thirty seconds": Case(
        sched("AT ONBATT * START-TIMER onbattwarn 30\nAT ONBATT * START-TIMER shutdown 30\n"
              "AT ONLINE * CANCEL-TIMER onbattwarn\nAT ONLINE * CANCEL-TIMER shutdown\n"),
        "warn", "", "US_SHORT_TIMER",
    ),
    "EXECUTE without a name": Case(
        sched("AT FSD * EXECUTE\nAT ONBATT * START-TIMER shutdown 600\n"
              "AT ONLINE * CANCEL-TIMER shutdown\n"), "warn", "", "US_UNKNOWN_LINE"
    ),
    "a UPS without its host": Case(
        sched("AT ONBATT ups START-TIMER shutdown 600\nAT ONLINE ups CANCEL-TIMER shutdown\n"),
        "warn", "", "US_NEVER_MATCHES",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_set_of_a_forum_is_judged_as_nut_takes_it(name: str) -> None:
    case = CASES[name]
    report = judge(read_texts(case.files))
    refused = {one.id for one in report.findings if one.level is Level.REFUSE}
    warned = {one.id for one in report.findings if one.level is Level.WARN}
    assert (report.verdict, refused) == (case.verdict, {*case.refused.split()}), sorted(warned)
    assert {*case.warned.split()} <= warned
