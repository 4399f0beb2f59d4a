"""The twenty scenarios of a power cut, and five from reports of other sites (V1 to V5).

The battery carries 60 s; in modes stock and policy the site stops 18 to 20 s after the cut.
"""

from __future__ import annotations

from tests.worlds.dying import DEATHS
from tests.worlds.run import Event
from tests.worlds.scenarios import (
    GATEWAY,
    NAS,
    OWN,
    PVE,
    TIERED,
    TOWN,
    Scenario,
    alarm,
    changed,
    during,
    first,
    forced,
    mains,
    no_command,
    nobody_before,
    off_comes_last,
    only,
    said,
    times,
    with_host,
)
from tests.worlds.site import Guest
from tests.worlds.untrusted import LIES, LOST, SWITCHES

OLD_NUT = "NUT 2.8.1 takes data lost on battery for a dead UPS at once, whatever DEADTIME says"
CALIBRATION = "Debian's 2.8.1-5+deb13u1 forgets a calibration that is over; before it did not"
NO_WAY_BACK = "nobody boots a host that halted while the output stayed on"
LOGOUT = "the client logs out when its shutdown begins"
QUICK = with_host(PVE, guests=())  # its shutdown takes a second
BEHIND_A_NAS = with_host(
    PVE,
    changed(primary="nas", primary_variables={"nut_primary_hostsync": 20}),
    guests=(Guest("compta", 1, 6, 7), Guest("dossiers", 2, 6, 7)),
)

TWENTY = (
    Scenario(
        "1",
        "the mains go for long",
        mains(2, 44),
        64,
        {"plain": "clean", "stock": "clean", "policy": "clean"},
        checks=(off_comes_last,),
    ),
    Scenario(
        "2",
        "the mains blink for 2 s, then for 3 s",
        mains(2, 4, 10, 13),
        30,
        {"plain": "rides", "stock": "rides", "policy": "rides"},
    ),
    Scenario(
        "3",
        "on battery, the UPS says for 2.5 s that it is low",
        (*mains(2, 12), *said(4, 6.5, "LB")),
        35,
        {"plain": "early", "stock": "rides", "policy": "rides"},
        site=OWN,
        why={
            "plain": "one look at OB LB is enough for it",
            "stock": "with own thresholds, since this UPS was seen to glitch",
            "policy": "a low battery has to be said for 4 s",
        },
    ),
    Scenario(
        "4",
        "the mains return during the shutdown, the UPS cycles all the same",
        mains(2, 26),
        70,
        {"plain": "clean", "stock": "clean", "policy": "clean"},
        site=changed(low_battery=44),
        checks=(off_comes_last,),
    ),
    Scenario(
        "5",
        "the mains return during the shutdown, the UPS then ignores the command",
        mains(2, 26),
        80,
        {"plain": "dark", "stock": "clean", "policy": "clean"},
        site=changed(behaviour="ign", low_battery=44),
        why={"plain": NO_WAY_BACK},
    ),
    Scenario(
        "6",
        "the UPS says nothing for 12 s, mains present",
        during(2, 14, "comms", False, True),
        35,
        {"plain": "rides", "stock": "rides", "policy": "rides"},
        checks=(alarm(*LOST),),
    ),
    Scenario(
        "7a",
        "on battery, the UPS says nothing for 3 s",
        (*mains(2, 14), *during(5, 8, "comms", False, True)),
        70,
        {"plain": "dark", "stock": "early", "policy": "rides"},
        site=changed(behaviour="ign"),
        why={
            "plain": f"{OLD_NUT}; {NO_WAY_BACK}",
            "stock": OLD_NUT,
            "policy": "our driver has patience, and its clients hear nothing of the silence",
        },
    ),
    Scenario(
        "7b",
        "on battery, the UPS says nothing any more",
        (*mains(2, 45), *during(5, 50, "comms", False, True)),
        85,
        {"plain": "clean", "stock": "clean", "policy": "clean"},
    ),
    Scenario(
        "8",
        "a client with guests stops for longer than its server",
        mains(2, 50),
        90,
        {"plain": "cut", "stock": "clean", "policy": "clean"},
        site=BEHIND_A_NAS,
        why={"plain": f"{LOGOUT}, not when its guests are down"},
    ),
    Scenario(
        "8-B",
        "a client with guests stops for longer than its server, and the UPS falls silent",
        (*mains(2, 50), *during(6, 60, "comms", False, True)),
        95,
        {"plain": "cut", "stock": "clean", "policy": "clean"},
        site=BEHIND_A_NAS,
        why={"plain": "upsmon waits for nobody when it has no data, guests or not"},
    ),
    Scenario(
        "9",
        "a guest does not stop",
        mains(2, 46),
        72,
        {"plain": "clean", "stock": "clean", "policy": "clean"},
        site=with_host(PVE, guests=(Guest("compta", 1, 3, 4), Guest("dossiers", 2, 60, 5))),
        checks=(forced("dossiers"), off_comes_last),
    ),
    Scenario(
        "10",
        "a client never stops",
        mains(2, 60),
        95,
        {"plain": "cut", "stock": "cut", "policy": "cut"},
        site=with_host(GATEWAY, hangs=True),
        why=dict.fromkeys(
            ("stock", "policy"),
            "only the client that hangs; the others wait HOSTSYNC for it, then are down",
        ),
    ),
    Scenario(
        "11",
        "the host with the cable dies on battery",
        (*mains(2, 30), Event(6, "kill", "pve1"), Event(34, "press", "pve1")),
        75,
        {"plain": "dark", "stock": "clean", "policy": "clean"},
        why={"plain": NO_WAY_BACK},
    ),
    Scenario(
        "12",
        "a client has a wrong password",
        mains(2, 46),
        72,
        {"plain": "clean", "stock": "clean", "policy": "clean"},
        site=with_host(
            GATEWAY, variables={"nut_secondary_password": "another-password-than-theirs"}
        ),
        awaited=frozenset({"pve1", "nas"}),
        why=dict.fromkeys(
            ("stock", "policy"),
            "it hears of the shutdown and stops, but is not waited for: the gate refuses",
        ),
    ),
    Scenario(
        "13",
        "the host with the cable is rebooted while the role writes its files",
        (Event(4, "do", ("pve1", "reboot")),),
        25,
        {"plain": "cut", "stock": "clean", "policy": "clean"},
        site=with_host(PVE, last_file="/etc/nut/ups.conf"),
        awaited=frozenset(),
        checks=(no_command,),
        why={
            "plain": "ups.conf before nut.conf: with MODE=none Debian's hook cuts at any power-off"
        },
    ),
    Scenario(
        "14",
        "after a cut, the host with the cable is rebooted",
        (*mains(2, 44), Event(64, "do", ("pve1", "reboot"))),
        92,
        {"plain": "clean", "stock": "clean", "policy": "clean"},
        checks=(times("nas", 1), times("pve1", 2)),
    ),
    Scenario(
        "15",
        "two UPSes: one loses its mains, 25 s later the other one does",
        (
            Event(2, "mains", "off", "ups2"),
            Event(27, "mains", "off", "ups1"),
            Event(72, "mains", "on"),
        ),
        105,
        {"plain": "clean", "stock": "clean", "policy": "clean"},
        site=changed(ups=("ups1", "ups2")),
        checks=(nobody_before(27), off_comes_last),
    ),
    Scenario(
        "15-B",
        "one of two UPSes loses its mains and has them back, then the other one; one host has one",
        (
            *(Event(at, "mains", on, "ups2") for at, on in ((2, "off"), (50, "on"))),
            *(Event(at, "mains", on, "ups1") for at, on in ((80, "off"), (110, "on"))),
        ),
        125,
        {"plain": "dark", "stock": "clean", "policy": "clean"},
        site=with_host(GATEWAY, changed(ups=("ups1", "ups2")), fed_by=("ups2",)),
        checks=(only("gw"), times("gw", 1), no_command),
        why={"plain": NO_WAY_BACK},
    ),
    Scenario(
        "16",
        "a tier goes after 6 s on battery, the others stay as long as they can",
        mains(2, 44),
        72,
        {"policy": "clean"},
        site=TIERED,
        checks=(off_comes_last, first("gw"), times("gw", 1)),
    ),
    Scenario(
        "16-B",
        "the same, and the mains are back before the others go",
        mains(2, 14),
        50,
        {"policy": "clean"},
        site=changed(TIERED, behaviour="ign"),
        checks=(only("gw"), times("gw", 1), no_command),
    ),
    Scenario(
        "16-C",
        "a tier goes when the battery carries less than 52 s",
        mains(2, 44),
        72,
        {"policy": "clean"},
        site=changed(tiers=({"name": "edge", "hosts": ["gw"], "below_seconds": 52},)),
        checks=(off_comes_last, first("gw"), times("gw", 1)),
    ),
    Scenario(
        "17",
        "the mains go again when everybody is just back",
        (*mains(2, 44, 61, 105), Event(61, "charge", 60)),
        135,
        {"plain": "clean", "stock": "clean", "policy": "clean"},
        checks=(times("nas", 2), times("pve1", 2)),
    ),
    Scenario(
        "18",
        "the battery is too weak for the shutdown",
        mains(2, 40),
        75,
        {"plain": "cut", "stock": "refused", "policy": "refused"},
        site=changed(capacity=25, measured=25),
        sites={"plain": changed(capacity=25, low_battery=6)},
        why={"plain": "nobody reckons, and 6 s before its end the UPS says that it is low"},
    ),
    Scenario(
        "19",
        "a host boots in the middle of the forced shutdown",
        (*mains(2, 45), Event(24.5, "press", "gw")),
        80,
        {"plain": "clean", "stock": "clean", "policy": "clean"},
        site=with_host(
            NAS,
            changed(
                primary_variables={"nut_primary_hostsync": 14},
                capacity=75,
                measured=75,
                low_battery=57,
            ),
            variables={"nut_secondary_finaldelay": 12},
        ),
        why=dict.fromkeys(
            ("stock", "policy"), "it hears of the shutdown again and stops again: once, and clean"
        ),
    ),
    Scenario(
        "20",
        "the UPS tests and calibrates itself, and blinks OFF",
        (*said(2, 12, "CAL"), *said(15, 17, "OFF"), *said(19, 21, "TEST")),
        35,
        {"plain": "rides", "stock": "rides", "policy": "rides"},
    ),
)

REPORTS = (
    Scenario(
        "V1-A",
        "calibration long ago, then 12 s without data, mains present",
        (*said(2, 6, "CAL"), *during(12, 24, "comms", False, True)),
        40,
        {"plain": "rides", "stock": "rides", "policy": "rides"},
        why={"stock": CALIBRATION},
    ),
    Scenario(
        "V1-C",
        "no data for 6 s in the middle of a calibration, mains present",
        (*said(2, 20, "CAL"), *during(8, 14, "comms", False, True)),
        75,
        {"plain": "dark", "stock": "early", "policy": "rides"},
        site=changed(behaviour="ign"),
        why={
            "plain": f"data lost in a calibration count as a dead UPS; {NO_WAY_BACK}",
            "stock": "data lost in a calibration count as a dead UPS",
            "policy": "the virtual UPS never says that it calibrates",
        },
    ),
    Scenario(
        "V1-B",
        "calibration long ago, then the mains go",
        (*said(2, 6, "CAL"), *mains(12, 75)),
        110,
        {"plain": "clean", "stock": "clean", "policy": "clean"},
        why={"plain": CALIBRATION},
    ),
    Scenario(
        "V3-A",
        "mains present, the UPS says LB and RB for 2 s",
        said(4, 6, "LB", "RB"),
        30,
        {"plain": "rides", "stock": "rides", "policy": "rides"},
    ),
    Scenario(
        "V3-B",
        "the same in the first seconds of a real cut",
        (*said(1.8, 4.2, "LB", "RB"), *mains(2, 12)),
        60,
        {"plain": "early", "stock": "rides", "policy": "rides"},
        site=OWN,
    ),
    Scenario(
        "V4",
        "the last host takes long: no power command before it is down",
        mains(2, 46),
        75,
        {"plain": "clean", "stock": "clean", "policy": "clean"},
        site=with_host(NAS, stop_seconds=4),
        checks=(off_comes_last,),
    ),
    Scenario(
        "V4-B",
        "the same, and the host with the cable stops at once",
        mains(2, 46),
        75,
        {"stock": "clean", "policy": "clean"},
        site=with_host(NAS, QUICK, stop_seconds=4),
        checks=(off_comes_last,),
    ),
    Scenario(
        "V5",
        "a client has a section of its own in ups.conf",
        mains(2, 45),
        75,
        {"stock": "refused", "policy": "refused"},
        site=with_host(GATEWAY, own_device="[ups]\n  driver = usbhid-ups\n  port = auto\n"),
    ),
)

ALL = (*TWENTY, *REPORTS, *SWITCHES, *LIES, *DEATHS)
__all__ = ["ALL", "DEATHS", "LIES", "REPORTS", "SWITCHES", "TOWN", "TWENTY"]
