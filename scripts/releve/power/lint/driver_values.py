"""Values of options for which a driver of NUT 2.8.1 ends at its start.

Read in the drivers' own source, v2.8.1: blazer.c, nutdrv_qx_blazer-common.c, nutdrv_qx_voltronic.c,
safenet.c, powerp-txt.c, snmp-ups.c, apcsmart.c and .h, genericups.c and .h, apc_modbus.c and
netxml-ups.c.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from releve.power.lint.parse import atoi

if TYPE_CHECKING:
    from collections.abc import Iterator

    from releve.power.lint.model import Option, Section

_Q = {"offdelay": (12, 600), "ondelay": (0, 9999)}
# driver -> option -> the least and the most that it takes
RANGES: dict[str, dict[str, tuple[int, int]]] = {
    "blazer_ser": _Q,
    "blazer_usb": _Q,
    # The most of any of its protocols; most of them take 600 s at most.
    "nutdrv_qx": {"offdelay": (12, 5940), "ondelay": (0, 599_940)},
    "safenet": {"offdelay": (0, 999), "ondelay": (0, 9999)},
    "powerpanel": {"offdelay": (6, 600), "ondelay": (0, 9999)},
    "genericups": {"upstype": (0, 23)},
}
# driver -> option -> what its value must look like, and that in words
FORMS: dict[str, dict[str, tuple[str, str]]] = {
    "snmp-ups": {"snmp_version": (r"v1|v2c|v3", "v1, v2c or v3")},
    # Without a scheme it sees no host.
    "netxml-ups": {"port": (r"auto|https?://[^/].*", "http://ADDRESS or https://ADDRESS")},
    "apcsmart": {
        "awd": (r"[0-9]{1,3}", "0 to 999"),
        "sdtype": (r"[0-5]", "0 to 5"),
        "advorder": (r"[0-4]{1,5}|[Nn][Oo]", "one to five digits of 0 to 4, or no"),
        "cshdelay": (r"[0-9]\.?|[0-9]?\.[0-9]", "0 to 9.9"),
    },
    # Debian's libmodbus knows no USB.
    "apc_modbus": {"porttype": (r"(?i:serial|tcp)", "serial or tcp")},
}
# Tables of snmp-ups 2.8.1, whose names changed with 2.8 (`pw` is `eaton_pw_nm2` now).
_MIBS = """
    auto apc apc_ats apc_pdu apcc aphel_genesisII aphel_revelation baytech bestpower cpqpower
    cyberpower delta_ups eaton_ats16_nm2 eaton_ats16_nmc eaton_ats30 eaton_epdu eaton_pdu_nlogic
    eaton_pw_nm2 eaton_pxg_ups emerson_avocent_pdu hpe_epdu hpe_pdu3_cis huawei ietf mge netvision
    pulizzi_monitored pulizzi_switched1 pulizzi_switched2 raritan tripplite xppc
"""
MIBS = frozenset(_MIBS.split())
_V3 = {
    name: ("|".join(words), " or ".join(words))
    for name, words in {
        "secLevel": ("noAuthNoPriv", "authNoPriv", "authPriv"),
        "authProtocol": ("MD5", "SHA", "SHA256", "SHA384", "SHA512"),
        "privProtocol": ("DES", "AES", "AES192", "AES256"),
    }.items()
}
# What it cannot do without; the second word of snmp-ups's level of security asks for passwords.
NEEDED = {"genericups": ("upstype",)}
_PASSPHRASE = 8  # characters at least (net-snmp, USM_LENGTH_P_MIN)

Wrong = tuple[str, "Option | None", str]


def wrong_values(section: Section) -> Iterator[Wrong]:
    """Yield the name of each option whose value ends the driver, the option, and what is right.

    The option is None where it is missing.
    """
    ranges = RANGES.get(section.driver, {})
    for name, (least, most) in ranges.items():
        found = section.find(name)
        if found and found.value is not None and not least <= atoi(found.value) <= most:
            yield name, found, f"{least} to {most}"
    yield from _wrong_forms(section, FORMS.get(section.driver, {}))
    for name in NEEDED.get(section.driver, ()):
        if section.value(name) is None:
            yield name, None, "{} to {}".format(*ranges[name])
    if section.driver == "snmp-ups" and section.value("snmp_version") == "v3":
        yield from _wrong_v3(section)


def _wrong_forms(section: Section, forms: dict[str, tuple[str, str]]) -> Iterator[Wrong]:
    for name, (form, right) in forms.items():
        found = section.find(name)
        if found and found.value is not None and not re.fullmatch(form, found.value):
            yield name, found, right


def _wrong_v3(section: Section) -> Iterator[Wrong]:
    level = section.value("secLevel") or "noAuthNoPriv"
    asked = _asked(level)
    yield from _wrong_forms(section, {name: _V3[name] for name in _V3 if name in asked})
    if section.value("secName") is None:
        yield "secName", section.find("secName"), "the name of a user of the card"
    for name in ("authPassword", "privPassword"):
        value = section.value(name)
        if name in asked and (value is None or len(value) < _PASSPHRASE):
            yield name, section.find(name), f"{_PASSPHRASE} characters or more"


def _asked(level: str) -> frozenset[str]:
    """Return the options that a level of security looks at."""
    found = {"secLevel", "authProtocol", "privProtocol"}
    found |= {"authPassword"} if level in ("authNoPriv", "authPriv") else set()
    return frozenset(found | ({"privPassword"} if level == "authPriv" else set()))
