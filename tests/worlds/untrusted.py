"""Dead switches, and UPSes whose words cannot be believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.worlds.run import Event
from tests.worlds.scenarios import (
    GATEWAY,
    NAS,
    OWN,
    TOWN,
    Scenario,
    alarm,
    changed,
    during,
    mains,
    times,
    with_host,
)

if TYPE_CHECKING:
    from tests.worlds.site import Host, Mode, Site

LOST = ("Communications with UPS ups1", "lost")
AWAY = ("Communications with UPS ups1", "@198.51.100.11 lost")
ON_THE_LIST = "on the list of what no program can save"
THEY_SAID = "the clients have said for 10 s that they hear nobody"
TEST_TELLS = "the weekly quick test, made here before the cut, says that it does not show"
GATE_TELLS = "the gate says before that the mains' state is not proven"
OF_A_CLIENT = "a client whose data are lost on battery stops at once"
NO_WAY_BACK = "nobody boots a host that halted while the output stayed on"
GATE = ("pve1", "sh", "-c", "python3 -I /usr/local/lib/releve/power.pyz gate | grep ^failed")
# What the weekly timer runs, beside the world: it gives the UPS a minute to show the test.
QUICK_TEST = (
    "mkdir -p /var/spool/releve-notify; (python3 -I /usr/local/lib/releve/power.pyz"
    " test-battery quick ups1 >/run/test 2>&1 &) </dev/null >/dev/null 2>&1"
)
RULE = {"nut_secondary_host_rule_seconds": 6}


def _with_rule(site: Site = TOWN) -> Site:
    """Return the site in which each client decides by itself when it hears nobody."""
    hosts: tuple[Host, ...] = (NAS, GATEWAY)
    for host in hosts:
        site = with_host(host, site, variables=RULE)
    return site


SWITCHES = (
    Scenario(
        "D0",
        "the switch dies with the mains, and the town file says so",
        (*mains(2, 46), *during(2, 46, "switch", "off", "on")),
        75,
        {"plain": "cut", "stock": "refused", "policy": "refused"},
        site=changed(switch_fed_by="mains"),
        sites={"plain": TOWN},
        why={"plain": "nobody asks what feeds the switch, and the clients hear of nothing"},
    ),
    Scenario(
        "D1",
        "the switch dies with the mains; each client has a rule of its own",
        (*mains(2, 46), *during(2, 46, "switch", "off", "on")),
        80,
        {"plain": "cut", "stock": "clean", "policy": "clean"},
        site=_with_rule(),
        checks=(alarm("lost"),),
        why={"plain": "the clients hear of nothing, and plain NUT has no rule for that"},
    ),
    Scenario(
        "D2",
        "a switch that the UPS feeds is dead when the mains go",
        (*during(2, 60, "switch", "off", "on"), *mains(12, 60)),
        95,
        {"plain": "cut", "stock": "cut", "policy": "cut"},
        checks=(alarm(*AWAY),),
        why={
            "stock": f"{ON_THE_LIST}; {THEY_SAID}",
            "policy": f"{ON_THE_LIST}; {THEY_SAID}",
        },
    ),
    Scenario(
        "D3",
        "the same, and each client has a rule of its own",
        (*during(2, 60, "switch", "off", "on"), *mains(12, 60)),
        95,
        {"plain": "cut", "stock": "clean", "policy": "clean"},
        site=_with_rule(),
        checks=(alarm(*AWAY),),
        why={"plain": "the clients hear of nothing, and plain NUT has no rule for that"},
    ),
    Scenario(
        "D4",
        "the switch is away for 12 s, mains present",
        during(2, 14, "switch", "off", "on"),
        35,
        {"plain": "rides", "stock": "rides", "policy": "rides"},
        checks=(alarm(*AWAY),),
    ),
    Scenario(
        "D5",
        "on battery, the switch is away for 10 s; the battery lasts",
        (*mains(2, 16), *during(4, 14, "switch", "off", "on")),
        75,
        {"plain": "dark", "stock": "early", "policy": "early"},
        site=changed(behaviour="ign"),
        why={
            "plain": f"{OF_A_CLIENT}; {NO_WAY_BACK}",
            "stock": OF_A_CLIENT,
            "policy": f"{OF_A_CLIENT}: its own upsmon's doing, whatever the server publishes",
        },
    ),
)


def _lying(number: str, title: str, lies: dict[str, str], site: Site, early: str = "") -> Scenario:
    """Return a cut with a UPS that ignores a command on line; `early` is why the site stops so."""
    reasons: dict[Mode, str] = {"plain": NO_WAY_BACK}
    if early:
        reasons["stock"] = early
    return Scenario(
        number,
        title,
        (Event(1, "lies", lies), *mains(2, 27)),
        85,
        {"plain": "dark", "stock": "early" if early else "clean", "policy": "clean"},
        site=changed(site, behaviour="ign"),
        why=reasons,
        checks=(times("nas", 1), times("pve1", 1)),
    )


def _both(lie: str) -> dict[str, str]:
    return {"battery.charge": lie, "battery.runtime": lie}


AT_ONCE = "a runtime of 0 is low: the site stops at the first look, and clean"
LIES = (
    _lying("L1", "charge and runtime are absent; own thresholds", _both("absent"), OWN),
    _lying("L2", "charge and runtime are 0; own thresholds", _both("0"), OWN, AT_ONCE),
    _lying("L3", "charge and runtime are N/A; own thresholds", _both("N/A"), OWN),
    _lying("L4", "charge and runtime are frozen at full; own thresholds", _both("frozen"), OWN),
    _lying("L5", "charge and runtime are ten times too high; own thresholds", _both("x10"), OWN),
    _lying("L6", "charge and runtime rise on battery; own thresholds", _both("rising"), OWN),
    _lying("L7", "charge and runtime are 0; the UPS's own word counts", _both("0"), TOWN),
    _lying("L8", "charge and runtime are frozen; the UPS's own word counts", _both("frozen"), TOWN),
    Scenario(
        "L9",
        "on battery, the driver answers and polls nothing for 35 s",
        (*mains(2, 44), *during(5, 40, "silent", True, False)),
        75,
        {"plain": "clean", "stock": "clean", "policy": "clean"},
    ),
    Scenario(
        "L10",
        "the driver answers and polls nothing since before the cut",
        (
            Event(1, "silent", True),
            Event(3, "do", ("pve1", "sh", "-c", QUICK_TEST)),
            Event(85, "do", ("pve1", "cat", "/run/test")),
            *mains(90, 166),
            Event(166, "silent", False),
        ),
        200,
        {"plain": "cut", "stock": "cut", "policy": "cut"},
        site=changed(primary_variables={"nut_primary_test_password": "of-the-worlds-tester"}),
        checks=(alarm("quick battery test did not show"),),
        why=dict.fromkeys(("stock", "policy"), f"{ON_THE_LIST}; {TEST_TELLS}"),
    ),
    Scenario(
        "V2",
        "the UPS says OL for ever, and nothing of its input",
        (
            Event(3, "do", GATE),
            Event(
                1,
                "lies",
                {
                    "ups.status": "OL CHRG",
                    "ups.load": "0",
                    "battery.charge": "100",
                    "input.voltage": "absent",
                },
            ),
            *mains(4, 80),
        ),
        115,
        {"plain": "cut", "stock": "cut", "policy": "cut"},
        checks=(alarm("failed", "mains-state"),),
        why=dict.fromkeys(("stock", "policy"), f"{ON_THE_LIST}; {GATE_TELLS}"),
    ),
    Scenario(
        "V2-B",
        "the UPS says OL for ever, and its input voltage tells the truth",
        (Event(1, "lies", {"ups.status": "OL CHRG", **_both("frozen")}), *mains(4, 80)),
        115,
        {"plain": "cut", "stock": "cut", "policy": "clean"},
        why={
            "stock": "stock programs read the status alone",
            "policy": "no voltage at the input, held for 5 s, counts as on battery",
        },
    ),
)
