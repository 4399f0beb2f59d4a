"""Each rule finds its fault and keeps silent without it; the table below has one of each."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.power.lint.rendered import ADDRESS, PRIMARY_PASSWORD, primary, secondary

from releve.power.lint.finding import Rules
from releve.power.lint.model import Access, Facts
from releve.power.lint.read import read_texts
from releve.power.lint.verdict import ALL, judge

Files = dict[str, str]
SECOND = "\n[ups2]\n  driver = usbhid-ups\n  port = auto\n  offdelay = 60\n  ondelay = 120\n"
QX = "\n[ups2]\n  driver = nutdrv_qx\n  port = auto\n  offdelay = 60\n  ondelay = 240\n"
VOLTS = "  default.battery.voltage.low = 20.8\n  default.battery.voltage.high = 26\n"
SNMP = "\n[ups2]\n  driver = snmp-ups\n  port = 192.0.2.7\n  community = x7Kq\n  offdelay = 60\n"
MODE, MONITOR = "MODE=netserver", "MONITOR ups1@localhost 1 primary"
COMMAND, FLAG = 'SHUTDOWNCMD "/sbin/shutdown -h +0"', "POWERDOWNFLAG /run/nut/killpower"
TIMER = "AT ONBATT * START-TIMER shutdown 300\n"

# rule -> (file, what is replaced there, by what); "" appends.
EXAMPLES: dict[str, tuple[str, str, str]] = {
    "NC_MODE_NONE": ("nut.conf", MODE, "MODE=none"),
    "NC_MODE_SPACES": ("nut.conf", MODE, "MODE= netserver"),
    "NC_MODE_MISSING": ("nut.conf", MODE, ""),
    "NC_MODE_UNKNOWN": ("nut.conf", MODE, "MODE=Netserver"),
    "NC_MODE_COMPUTED": ("nut.conf", MODE, "MODE=$(cat /etc/mode)"),
    "NC_MODE_LATE": ("nut.conf", MODE, "X = netserver\nMODE=$X"),
    "NC_POWEROFF_WAIT_SHORT": ("nut.conf", "", "POWEROFF_WAIT=30\n"),
    "NC_SHELL_ERROR": ("nut.conf", MODE, 'MODE="netserver'),
    "NC_STANDALONE_OPEN": ("nut.conf", MODE, "MODE=standalone"),
    "NC_CLIENT_WITH_DRIVERS": ("nut.conf", MODE, "MODE=netclient"),
    "UC_NO_SECTION": ("ups.conf", "[ups1]", ""),
    "UC_DUP_SECTION": ("ups.conf", "", "\n[ups1]\n"),
    "UC_DUP_SECTION_CLASH": ("ups.conf", "", "\n[ups1]\n  serial = other\n"),
    "UC_NO_DRIVER": ("ups.conf", "driver = usbhid-ups", ""),
    "UC_NO_PORT": ("ups.conf", "port = auto", "port ="),
    "UC_PORT_AUTO": ("ups.conf", "", "\n[ups2]\n  driver = apcsmart\n  port = auto\n"),
    "UC_PORT_TWICE": ("ups.conf", "", "".join(
        f"\n[{name}]\n  driver = apcsmart\n  port = /dev/ttyS0\n" for name in ("a", "b"))),
    "UC_DRIVER_GONE": ("ups.conf", "usbhid-ups", "newhidups"),
    "UC_UNKNOWN_DRIVER": ("ups.conf", "usbhid-ups", "usbhid-up"),
    "UC_UNKNOWN_OPTION": ("ups.conf", "", "  maxretry = 3\n"),
    "UC_USER_OTHER": ("ups.conf", "", "  user = uucp\n"),
    "UC_LINE_IGNORED": ("ups.conf", "", "  two words\n"),
    "UC_GLOBAL_IGNORED": ("ups.conf", "pollinterval = 2", "pollinterval = 2\noffdelay = 90"),
    "UC_DRIVERPATH_OTHER": ("ups.conf", "pollinterval = 2",
                            "pollinterval = 2\ndriverpath = /usr/local/ups/bin"),
    "UC_DUMMY_AS_SOURCE": ("ups.conf", "driver = usbhid-ups\n  port = auto",
                           "driver = dummy-ups\n  port = ups.dev"),
    "UC_DUMMY_BESIDE": ("ups.conf", "", "\n[test]\n  driver = dummy-ups\n  port = ups.dev\n"),
    "UC_USB_AMBIGUOUS": ("ups.conf", "", SECOND),
    "UC_USB_ALLOW_DUPLICATES": ("ups.conf", "", "  allow_duplicates\n"),
    "UC_USB_MATCH_BY_DEVICE_NUMBER": ("ups.conf", "", "  device = 004\n"),
    "UC_NETWORK_DRIVER_KILLPOWER": ("ups.conf", "", SNMP),
    "UC_DRIVER_NEVER_CUTS": (
        "ups.conf", "", "\n[ups2]\n  driver = apc_modbus\n  port = 192.0.2.7\n"),
    "UC_SNMP_DEFAULT_COMMUNITY": ("ups.conf", "", SNMP.replace("x7Kq", "public")),
    "UC_POLL_SLOW": ("ups.conf", "pollinterval = 2", "pollinterval = 15"),
    "UC_POLLINTERVAL_INVALID": ("ups.conf", "pollinterval = 2", "pollinterval = fast"),
    "UC_OPTION_VALUE": ("ups.conf", "", QX.replace("= 60", "= 6")),
    "UC_SNMP_MIB_UNKNOWN": ("ups.conf", "", SNMP + "  mibs = pw\n"),
    "UC_ONDELAY_Q_SHORT": ("ups.conf", "", QX.replace("240", "120")),
    "UC_OVERRIDE_STATUS": ("ups.conf", "", "  override.ups.status = OL\n"),
    "UC_OVERRIDE_MEASURED": ("ups.conf", "", "  override.battery.runtime = 3600\n"),
    "UC_RUNTIME_LOW_HUGE": ("ups.conf", "runtime.low = 600", "runtime.low = 36000"),
    "UC_OFFDELAY_DEFAULT": ("ups.conf", "offdelay = 60", ""),
    "UC_OFFDELAY_SHORT": ("ups.conf", "offdelay = 60", "offdelay = 30"),
    "UC_OFFDELAY_NEVER": ("ups.conf", "offdelay = 60", "offdelay = -1"),
    "UC_CPS_OFFDELAY_NOT_60": ("ups.conf", "offdelay = 60", "offdelay = 90\n  vendorid = 0764"),
    "UC_ONDELAY_LE_OFFDELAY": ("ups.conf", "ondelay = 120", "ondelay = 60"),
    "UC_ONDELAY_DEFAULT_LOW": ("ups.conf", "ondelay = 120", ""),
    "UC_OVERRIDE_DELAY_IS_COSMETIC": ("ups.conf", "", "  override.ups.delay.start = 9\n"),
    "UC_OVERRIDE_LOW_WITHOUT_IGNORELB": ("ups.conf", "  ignorelb\n", ""),
    "UC_IGNORELB_ALONE": ("ups.conf", "", f"{QX}{VOLTS}  ignorelb\n"),
    "UC_LOW_TOO_HIGH": ("ups.conf", "charge.low = 40", "charge.low = 60"),
    "UC_RUNTIME_LOW_SHORT": ("ups.conf", "runtime.low = 600", "runtime.low = 5"),
    "UC_ALL_SPARED": ("ups.conf", "", "  sdorder = -1\n"),
    "UC_RUNTIME_LOW_NEGATIVE": ("ups.conf", "runtime.low = 600", "runtime.low = -1"),
    "UC_QX_NO_VOLTAGE_RANGE": ("ups.conf", "", QX),
    "UC_VOLTAGE_RANGE_ODD": ("ups.conf", "", QX + VOLTS.replace("20.8", "10.4")),
    "UC_RUNTIMECAL_GUESS": ("ups.conf", "", f"{QX}{VOLTS}  runtimecal = 240,100,720,50\n"),
    "UD_LISTEN_ALL": ("upsd.conf", "", "LISTEN 0.0.0.0\n"),
    "UD_LISTEN_FIRST": ("upsd.conf", "LISTEN 127.0.0.1 3493\n", ""),
    "UD_STATEPATH_OTHER": ("upsd.conf", "", "STATEPATH /opt/nut\n"),
    "UD_MAXAGE_HUGE": ("upsd.conf", "", "MAXAGE 300\n"),
    "UD_MAXAGE_SHORT": ("upsd.conf", "", "MAXAGE 5\n"),
    "UD_MAXCONN": ("upsd.conf", "", "MAXCONN 3\n"),
    "UD_LISTEN_SHADOWED": ("upsd.conf", "", "LISTEN 0.0.0.0 3493\n"),
    "UD_LISTEN_INVALID": ("upsd.conf", "", "LISTEN 192.0.2.11:3493\n"),
    "UD_NETSERVER_LOCAL_ONLY": ("upsd.conf", f"LISTEN {ADDRESS} 3493", ""),
    "UD_UNKNOWN_DIRECTIVE": ("upsd.conf", "", "CERTFILE /etc/nut/upsd.pem\n"),
    "UU_NO_USERS": ("upsd.users", "upsmon", "actions = SET #"),
    "UU_UNKNOWN_KEY": ("upsd.users", "", "  action = SET\n"),
    "UU_LINE_BROKEN": ("upsd.users", "", '  actions = "a#b"\n'),
    "UU_PASSWORD_CUT": ("upsd.users", f'"{PRIMARY_PASSWORD}"', "k3vQ8wZr#x"),
    "UU_PASSWORD_SHORT": ("upsd.users", f'"{PRIMARY_PASSWORD}"', "k3vQ8wZrT1=x"),
    "UU_NO_PASSWORD": ("upsd.users", "", "[tests]\n  instcmds = test.battery.start.quick\n"),
    "UU_DUPLICATE_USER": ("upsd.users", "", "[primary]\n"),
    "UU_WEAK_PASSWORD": ("upsd.users", "", "[x]\n  password = changeme\n  actions = SET\n"),
    "UU_PASSWORD_CHARS": ("upsd.users", "", "[x]\n  password = k3v@8wZr1T\n  actions = SET\n"),
    "UU_MONITOR_USER_TOO_STRONG": ("upsd.users", "", "  instcmds = ALL\n"),
    "UU_USER_WITHOUT_RIGHTS": ("upsd.users", "", "[x]\n  password = k3vQ8wZrT1x\n"),
    "UM_NO_MONITOR": ("upsmon.conf", "MONITOR", "monitor"),
    "UM_MONITOR_FATAL": ("upsmon.conf", MONITOR, "MONITOR ups1@localhost primary"),
    "UM_MONITOR_IGNORED": ("upsmon.conf", "", "MONITOR ups1@localhost 1\n"),
    "UM_ROLE_UNKNOWN": ("upsmon.conf", '" primary', '" client'),
    "UM_POWER_TOO_LOW": ("upsmon.conf", "MINSUPPLIES 1", "MINSUPPLIES 2"),
    "UM_NEVER_STOPS": ("upsmon.conf", "MINSUPPLIES 1", "MINSUPPLIES 0"),
    "UM_POWERVALUE_ZERO": ("upsmon.conf", MONITOR, "MONITOR ups1@localhost 0 primary"),
    "UM_NO_SHUTDOWNCMD": ("upsmon.conf", COMMAND, ""),
    "UM_SHUTDOWNCMD_NOOP": ("upsmon.conf", COMMAND, "SHUTDOWNCMD sudo shutdown -h now"),
    "UM_SHUTDOWNCMD_CUTS": ("upsmon.conf", COMMAND, 'SHUTDOWNCMD "/sbin/upsdrvctl shutdown"'),
    "UM_SHUTDOWNCMD_REBOOTS": ("upsmon.conf", COMMAND, 'SHUTDOWNCMD "/sbin/shutdown -r now"'),
    "UM_SHUTDOWNCMD_SUDO": ("upsmon.conf", COMMAND, 'SHUTDOWNCMD "sudo shutdown -h now"'),
    "UM_NOTIFYCMD_CUT": ("upsmon.conf", "", 'NOTIFYCMD echo "$*" | mail root\n'),
    "UM_SHUTDOWN_PLUS_ONE_MINUTE": ("upsmon.conf", COMMAND, "SHUTDOWNCMD /sbin/shutdown -h +0"),
    "UM_NO_POWERDOWNFLAG": ("upsmon.conf", FLAG, ""),
    "UM_FLAG_SURVIVES_BOOT": ("upsmon.conf", FLAG, "POWERDOWNFLAG /etc/killpower"),
    "UM_FLAG_GONE": ("upsmon.conf", FLAG, "POWERDOWNFLAG /tmp/killpower"),
    "UM_NOTIFYCMD_STOPS": ("upsmon.conf", "/usr/sbin/upssched", '"/sbin/upsmon -c fsd"'),
    "UM_RUN_AS_ROOT": ("upsmon.conf", "", "RUN_AS_USER root\n"),
    "UM_RUN_AS_OTHER": ("upsmon.conf", "", "RUN_AS_USER upsmon\n"),
    "UM_NEGATIVE": ("upsmon.conf", "", "POLLFREQ -1\n"),
    "UM_DUPLICATE": ("upsmon.conf", "", "FINALDELAY 5\n"),
    "UM_UNKNOWN_DIRECTIVE": ("upsmon.conf", "", "OBLBDURATION 30\n"),
    "UM_EQUALS": ("upsmon.conf", "FINALDELAY 5", "FINALDELAY = 5"),
    "UM_NOTIFYMSG_CRASH": ("upsmon.conf", "", 'NOTIFYMSG ONBATT "UPS %s at %s"\n'),
    "UM_LINE_BROKEN": ("upsmon.conf", "", 'NOTIFYMSG ONLINE "UPS #1"\n'),
    "UM_BAD_FLAG": ("upsmon.conf", "", "NOTIFYFLAG CAL SYSLOG EXEC\n"),
    "UM_EXEC_WITHOUT_NOTIFYCMD": ("upsmon.conf", "NOTIFYCMD /usr/sbin/upssched", ""),
    "UM_HOSTSYNC_DEFAULT": ("upsmon.conf", "HOSTSYNC 120", "HOSTSYNC 15"),
    "UM_HOSTSYNC_LONG": ("upsmon.conf", "HOSTSYNC 120", "HOSTSYNC 86400"),
    "UM_FINALDELAY_LONG": ("upsmon.conf", "FINALDELAY 5", "FINALDELAY 130"),
    "UM_DEADTIME_HUGE": ("upsmon.conf", "DEADTIME 15", "DEADTIME 555"),
    "UM_POLL_SLOW": ("upsmon.conf", "", "POLLFREQ 60\n"),
    "UM_POLL_SLOW_ON_BATTERY": ("upsmon.conf", "", "POLLFREQALERT 30\n"),
    "UM_POLL_INVALID": ("upsmon.conf", "POLLFREQ 5", "POLLFREQ five"),
    "UM_DEADTIME_SHORT": ("upsmon.conf", "DEADTIME 15", "DEADTIME 5"),
    "UM_USER_NOT_IN_UPSD_USERS": ("upsd.users", "[primary]", "[Primary]"),
    "UM_USER_HAS_NO_UPSMON_ROLE": ("upsd.users", "upsmon primary", "actions = SET"),
    "UM_USER_TOO_WEAK": ("upsd.users", "upsmon primary", "upsmon secondary"),
    "UM_WRONG_PASSWORD": ("upsmon.conf", PRIMARY_PASSWORD, "k3vQ8wZr-other"),
    "UM_LOGIN_TAKEN_APART": ("upsmon.conf", PRIMARY_PASSWORD, "k3vQ8wZrT1xNb7=="),
    "UM_UPS_NOT_IN_UPS_CONF": ("ups.conf", "[ups1]", "[ups]"),
    "UM_NOBODY_LISTENS": ("upsd.conf", "LISTEN 127.0.0.1 3493", ""),
    "UM_HOST_INVALID": ("upsmon.conf", "ups1@localhost", "ups1@<ADDRESS>"),
    "UM_UPS_NOT_MONITORED": ("ups.conf", "", SECOND),
    "UM_LOCAL_MONITOR_IN_NETCLIENT": ("nut.conf", MODE, "MODE=netclient"),
    "UM_LOCAL_SECONDARY_NEVER_KILLS_POWER": ("upsmon.conf", '" primary', '" secondary'),
    "UM_REMOTE_PRIMARY": ("upsmon.conf", "ups1@localhost", "ups1@192.0.2.12"),
    "UM_CERTVERIFY_WITHOUT_PATH": ("upsmon.conf", "CERTPATH /etc/nut/tls-trusted\n", ""),
    "UM_CERTPATH_NO_DATABASE": ("upsmon.conf", "/etc/nut/tls-trusted", "/etc/nut/ca.pem"),
    "UM_FORCESSL_WITHOUT_SERVER": ("upsd.conf", "CERTPATH /etc/nut/tls\n", ""),
    "US_NOT_CALLED": ("upsmon.conf", "NOTIFYFLAG ONBATT SYSLOG+EXEC", "NOTIFYFLAG ONBATT SYSLOG"),
    "US_EVENT_NOT_EXECUTED": ("upssched.conf", "", "AT REPLBATT * EXECUTE mail\n"),
    "US_UNKNOWN_EVENT": ("upssched.conf", "", "AT low_charge * EXECUTE startshutdown\n"),
    "US_NEVER_MATCHES": ("upssched.conf", "ONBATT ups1@localhost", "ONBATT ups1"),
    "US_AT_TOO_EARLY": ("upssched.conf", "LOCKFN /run/nut/upssched/upssched.lock", ""),
    "US_UNKNOWN_LINE": ("upssched.conf", "", "AT ONBATT * START-TIMER late\n"),
    "US_ARGS_SWAPPED": ("upssched.conf", "", "AT ONBATT * START-TIMER 120 mail\n"),
    "US_TIMER_NEVER_CANCELLED": ("upssched.conf", "", "AT ONBATT * START-TIMER mail 120\n"),
    "US_BLIP_SHUTS_DOWN": ("upssched.conf", "", TIMER),
    "US_CANCELS_UNKNOWN_TIMER": ("upssched.conf", "", "AT ONLINE * CANCEL-TIMER mail\n"),
    "US_SHORT_TIMER": ("upssched.conf", "900", "45"),
    "US_STOPS_ON_MAINS": ("upssched.conf", "", "AT NOPARENT * EXECUTE shutdown\n"),
    "US_LOWBATT_WITHOUT_OB_CHECK": ("upssched.conf", "", "AT LOWBATT * EXECUTE shutdown\n"),
    "US_PIPE_IN_ETC": ("upssched.conf", "/run/nut/upssched/upssched.pipe", "/etc/nut/pipe"),
}  # fmt: skip
OPEN = Access(0o646, "root", "nut")
SHUT = Access(0o600, "root", "root")
ROOT_STOPS = "case $1 in\n on-battery*)\n  /sbin/shutdown -h now\n  ;;\nesac\n"
BY_FACTS = {
    "UD_LISTEN_ABSENT": Facts(addresses=frozenset({"192.0.2.12"})),
    "UM_CERTPATH_ABSENT": Facts(paths={"/etc/nut/ca": False}),
    "FM_UPSMON_UNREADABLE": Facts(access={"upsmon.conf": SHUT}),
    "FM_USERS_UNREADABLE": Facts(access={"upsd.users": SHUT}),
    "FM_UNREADABLE": Facts(access={"ups.conf": SHUT}),
    "FM_WORLD_READABLE": Facts(access={"ups.conf": OPEN}),
    "FM_WRITABLE": Facts(access={"upsd.conf": OPEN}),
    "UM_RUN_AS_NOBODY": Facts(run_as_exists=False),
    "HS_KILLPOWER_STRAY": Facts(flag_exists=True),
    "UM_SHUTDOWNCMD_ABSENT": Facts(paths={"/sbin/shutdown": False}),
    "HS_SCRIPT_ABSENT": Facts(paths={"/usr/local/lib/releve/power-timer": False}),
    "US_STOP_NEEDS_ROOT": Facts(scripts={"/usr/local/lib/releve/power-timer": ROOT_STOPS}),
}
ELSEWHERE = {"FM_MISSING", "UM_FLAG_ON_SECONDARY", "UM_SECONDARY_WITH_DRIVERS"}


def changed(files: Files, name: str, old: str, new: str) -> Files:
    assert old in files[name], f"{name} has no {old}"
    text = files[name].replace(old, new) if old else files[name] + new
    return {**files, name: text}


def ids(files: Files, facts: Facts | None = None) -> set[str]:
    return {one.id for one in judge(read_texts(files, facts)).findings}


@pytest.mark.parametrize("identity", EXAMPLES)
def test_a_rule_finds_its_fault(identity: str) -> None:
    assert identity in ids(changed(primary(), *EXAMPLES[identity]))


@pytest.mark.parametrize("identity", BY_FACTS)
def test_a_rule_looks_at_the_host(identity: str) -> None:
    files = changed(primary(), "upsmon.conf", "", "CERTPATH /etc/nut/ca\n")

    assert identity in ids(files, BY_FACTS[identity])
    assert identity not in ids(files)


def test_every_rule_has_an_example() -> None:
    elsewhere = ELSEWHERE | {name for name in ALL if name.startswith("SD_")}  # test_units.py
    assert {*EXAMPLES, *BY_FACTS, *elsewhere} == set(ALL)


def test_a_file_that_is_not_there_is_missing_on_a_live_host_only() -> None:
    files = {name: text for name, text in primary().items() if name != "upsd.users"}

    assert ids(files) == set()
    assert ids(files, Facts(live=True)) == {"FM_MISSING"}


def test_a_flag_of_a_secondary_may_lie_in_memory_only() -> None:
    assert ids(secondary()) == set()
    on_disk = changed(secondary(), "upsmon.conf", "/run/nut/", "/etc/")
    assert ids(on_disk) == {"UM_FLAG_ON_SECONDARY", "UM_FLAG_SURVIVES_BOOT"}


def test_a_driver_of_the_host_itself_is_known() -> None:
    files = changed(primary(), "ups.conf", "usbhid-ups", "ourdriver")

    assert "UC_UNKNOWN_DRIVER" in ids(files)
    assert ids(files, Facts(drivers=frozenset({"ourdriver"}))) == set()


@pytest.mark.parametrize("copy", ["dummy-ups", "clone", "powerman-pdu"])
def test_a_device_that_cannot_be_cut_need_not_be_watched(copy: str) -> None:
    section = f"\n[copy]\n  driver = {copy}\n  port = other@192.0.2.9\n"

    assert "UM_UPS_NOT_MONITORED" not in ids(changed(primary(), "ups.conf", "", section))
    real = section.replace(copy, "apcsmart")
    assert "UM_UPS_NOT_MONITORED" in ids(changed(primary(), "ups.conf", "", real))


@pytest.mark.parametrize("option", ["subdriver", "OFFDELAY", "default.battery.x", "sdorder"])
def test_an_option_that_the_driver_takes_is_not_a_fault(option: str) -> None:
    assert "UC_UNKNOWN_OPTION" not in ids(changed(primary(), "ups.conf", "", f"  {option} = 90\n"))


@pytest.mark.parametrize("option", ["Port", "community", "nowait", "retrydelay"])
def test_an_option_that_it_would_die_of_is_one(option: str) -> None:
    assert "UC_UNKNOWN_OPTION" in ids(changed(primary(), "ups.conf", "", f"  {option} = 1\n"))


@pytest.mark.parametrize(
    ("match", "ambiguous"),
    [("serial = B", False), ("vendorid = 0463", False), ("", True)],
)
def test_a_usb_device_is_told_apart_by_what_its_section_asks_for(
    match: str, ambiguous: bool
) -> None:
    found = ids(changed(primary(), "ups.conf", "", f"{SECOND}  {match}\n"))

    assert ("UC_USB_AMBIGUOUS" in found) is ambiguous


def test_who_asks_for_more_than_the_other_says_may_not_take_its_device() -> None:
    files = changed(primary(), "ups.conf", "", f"{SECOND}  vendorid = 0463\n")

    assert "UC_USB_AMBIGUOUS" not in ids(files)


def test_a_file_of_the_daemon_itself_must_let_it_read() -> None:
    assert Access(0o600, "nut", "root").reads("nut")
    assert not Access(0o200, "nut", "root").reads("nut")
    assert Access(0o040, "root", "nut").reads("nut")
    assert Access(0o004, "root", "root").reads("nut")
    assert not Access(0o640, "root", "root").reads("nut")


def test_what_refuses_comes_first_then_file_by_file() -> None:
    files = changed(primary(), "upssched.conf", "", TIMER)
    files = changed(files, "nut.conf", MODE, "MODE=standalone")
    found = judge(read_texts(files)).findings

    assert [one.level for one in found] == ["refuse", "warn", "warn"]
    assert found[0].id == "US_BLIP_SHUTS_DOWN"


def test_a_virtual_ups_of_ours_may_have_no_power() -> None:
    tier = "\n[tier2]\n  driver = releve-policy\n  port = ups1\n"
    files = changed(primary(), "ups.conf", "", tier)
    monitor = f'MONITOR tier2@localhost 0 primary "{PRIMARY_PASSWORD}" primary\n'

    assert ids(changed(files, "upsmon.conf", "", monitor)) == set()


def test_a_loss_of_the_link_that_lasts_is_no_blip() -> None:
    lasting = "AT NOCOMM * EXECUTE shutdown\n"
    blip = "AT COMMBAD * EXECUTE shutdown\n"
    heard = changed(primary(), "upsmon.conf", "COMMBAD SYSLOG", "COMMBAD SYSLOG+EXEC")

    assert "US_BLIP_SHUTS_DOWN" not in ids(changed(heard, "upssched.conf", "", lasting))
    assert "US_BLIP_SHUTS_DOWN" in ids(changed(heard, "upssched.conf", "", blip))


def test_a_mains_return_that_upssched_does_not_hear_of_ends_no_timer() -> None:
    deaf = changed(primary(), "upsmon.conf", "ONLINE SYSLOG+EXEC", "ONLINE SYSLOG")

    assert {"US_BLIP_SHUTS_DOWN", "US_NOT_CALLED"} <= ids(deaf)


@pytest.mark.parametrize(
    ("cancels", "refused"),
    [(["ups1"], True), (["ups1", "ups2"], False), (["*"], False), (["ups1", "*"], False)],
)
def test_a_timer_that_any_ups_starts_is_cancelled_by_each(
    cancels: list[str], *, refused: bool
) -> None:
    lines = TIMER + "".join(
        f"AT ONLINE {one if one == '*' else f'{one}@localhost'} CANCEL-TIMER shutdown\n"
        for one in cancels
    )
    files = changed(primary(), "upssched.conf", "", lines)
    second = f"MONITOR ups2@localhost 1 primary {PRIMARY_PASSWORD} primary\n"
    both = changed(files, "upsmon.conf", "", second)

    assert "US_BLIP_SHUTS_DOWN" not in ids(files)
    assert ("US_BLIP_SHUTS_DOWN" in ids(both)) is refused


def test_a_script_at_hand_decides_what_a_timer_does() -> None:
    files = changed(primary(), "upssched.conf", "", "AT ONBATT * START-TIMER onbatt 300\n")
    tells = 'case "$1" in\n onbatt) logger on battery ;;\n off) upsmon -c fsd ;;\nesac\n'
    stops = tells.replace("logger on battery", "/sbin/upsmon -c fsd")
    path = "/usr/local/lib/releve/power-timer"

    assert "US_BLIP_SHUTS_DOWN" in ids(files)
    assert "US_BLIP_SHUTS_DOWN" not in ids(files, Facts(scripts={path: tells}))
    assert "US_BLIP_SHUTS_DOWN" in ids(files, Facts(scripts={path: stops}))


def test_an_upsmon_that_runs_as_root_may_stop_its_host() -> None:
    facts = BY_FACTS["US_STOP_NEEDS_ROOT"]
    as_root = changed(primary(), "upsmon.conf", "", "RUN_AS_USER root\n")

    assert ids(primary(), facts) == {"US_STOP_NEEDS_ROOT"}
    assert ids(as_root, facts) == {"UM_RUN_AS_ROOT"}


def test_an_event_that_does_not_exist_is_not_one_without_exec() -> None:
    never = changed(primary(), "upssched.conf", "", "AT notify_onbatt * EXECUTE mail\n")

    assert ids(never) == {"US_UNKNOWN_EVENT"}


def test_the_second_word_of_a_cancel_is_no_timer() -> None:
    both = f"{TIMER}AT ONLINE * CANCEL-TIMER on-battery-ups1 shutdown\n"

    assert "US_BLIP_SHUTS_DOWN" in ids(changed(primary(), "upssched.conf", "", both))
    own = f"{TIMER}AT ONLINE * CANCEL-TIMER shutdown\n"
    assert ids(changed(primary(), "upssched.conf", "", own)) == set()


def test_settings_after_a_repeated_user_go_to_the_one_before() -> None:
    text = "[primary]\n  upsmon primary\n"
    conf = read_texts(changed(primary(), "upsd.users", "", text))

    assert conf.users is not None
    found = conf.users.user("secondary")
    assert found is not None
    assert found.roles == ("secondary", "primary")


def test_two_rules_cannot_share_a_name() -> None:
    rules = Rules()
    rules.note("A", "wrong", "right")(lambda _conf: ())

    with pytest.raises(ValueError, match="two rules are called A"):
        rules.warn("A", "wrong", "right")(lambda _conf: ())


def test_a_second_supply_of_a_known_server_is_judged_there() -> None:
    remote = [{"ups": "ups2", "server": "192.0.2.12", "supplies": 1}]
    here = read_texts(primary(nut_primary_remote=remote))

    assert judge(here).findings == ()
    there = replace(here, server=read_texts(primary()))
    assert {one.id for one in judge(there).findings} == {
        "UM_UPS_NOT_IN_UPS_CONF", "UM_NOBODY_LISTENS",
    }  # fmt: skip
