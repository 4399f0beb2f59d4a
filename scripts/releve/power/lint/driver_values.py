"""Values of options for which a driver of NUT 2.8.1 ends at its start.

Read in the drivers' own source, v2.8.1: blazer.c, blazer_usb.c, nutdrv_qx.c and its protocols,
usbhid-ups.c, usb-common.c, libusb1.c, safenet.c, powerp-txt.c, snmp-ups.c, apcsmart.c and .h,
genericups.c and .h, apc_modbus.c, bcmxcp_ser.c and netxml-ups.c.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from releve.power.lint import drivers, releases
from releve.power.lint.parse import atoi

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from releve.power.lint.model import Option, Section
    from releve.power.lint.releases import Release

_SECONDS, _SOME = (0, sys.maxsize), (1, sys.maxsize)
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
    "usbhid-ups": {"interruptsize": _SOME},
    "netxml-ups": {"timeout": _SOME, "shutdown_duration": _SECONDS, "shutdown_timer": _SECONDS},
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
    "bcmxcp": {"baud_rate": ("19200|9600|4800|2400|1200", "19200, 9600, 4800, 2400 or 1200")},
}
# A USB device is taken when the whole of what it says fits an extended regular expression; its
# numbers are four hexadecimal digits, those of its place are three digits.
_HEX, _PLACE = ("[0-9A-Fa-f]{4}", "four hexadecimal digits"), ("[0-9]{3}", "three digits, as 001")
_TEXT = ("", "an extended regular expression for the whole text, without blanks at its ends")
USB_FORMS = {
    **dict.fromkeys(drivers.USB_MATCH, _TEXT), **dict.fromkeys(("vendorid", "productid"), _HEX),
    **dict.fromkeys(("bus", "busport", "device"), _PLACE),
}  # fmt: skip
_OPERATORS = re.compile(r"[][(){}.*+?^$|\\]")
_BRACKETS = re.compile(r"\[\^?\]?[^]]*\]")
_TIMES = re.compile(r"\{(?:\d+(?:,\d*)?|,\d+)\}")
# With a subdriver of its own choice a driver wants the two numbers of the device, too.
_BOTH = ("vendorid", "productid")
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


def wrong_values(section: Section, release: Release) -> Iterator[Wrong]:
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
    if section.driver in drivers.USB:
        yield from _wrong_match(section)
    yield from _wrong_names(section, releases.NAMES.get(section.driver, {}), release)
    if section.driver in drivers.Q_PROTOCOL and section.value("runtimecal") is not None:
        yield from _wrong_calibration(section)


def _wrong_match(section: Section) -> Iterator[Wrong]:
    """Yield what no USB device can fit."""
    for name, (form, right) in USB_FORMS.items():
        found = section.find(name)
        value = found.value if found else None
        if value and not (_is_expression(value) and _may_fit(value, form)):
            yield name, found, right
    choice = "subdriver" if section.value("subdriver") else "explore"
    needed = (_BOTH if choice == "subdriver" else _BOTH[:1]) if section.find(choice) else ()
    for name in needed:
        if section.value(name) is None:
            yield name, None, f"the {name} of the device, where {choice} is set"


def _is_expression(value: str) -> bool:
    """Tell whether regcomp() of glibc takes a value as an extended regular expression."""
    if re.search(r"(?<!\\)(?:\\\\)*\\$", value):
        return False
    plain = _BRACKETS.sub("x", re.sub(r"\\.", "x", value))
    if "[" in plain or re.search(r"(?:^|[(|^])[*+?{]", plain) or "{" in _TIMES.sub("", plain):
        return False
    opened = 0
    for character in plain:
        opened += (character == "(") - (character == ")" and opened > 0)
    return opened == 0


def _may_fit(value: str, form: str) -> bool:
    if value != value.strip(" \t\n"):
        return False
    return not form or _OPERATORS.search(value) is not None or bool(re.fullmatch(form, value))


def _wrong_names(
    section: Section, tables: Mapping[str, Mapping[str, Release]], release: Release
) -> Iterator[Wrong]:
    for option, names in tables.items():
        found = section.find(option)
        known = [name for name, since in names.items() if since <= release]
        if found and found.value is not None and found.value.lower() not in known:
            yield option, found, "one of " + ", ".join(known)


def _wrong_calibration(section: Section) -> Iterator[Wrong]:
    """Yield what blazer_initbattery() and qx_initbattery() do not reckon with."""
    said = [_leading_number(one) for one in (section.value("runtimecal") or "").split(",")]
    if len(said) < len(("high", "at", "low", "at")) or None in said[:4]:
        right = "SECONDS,LOAD,SECONDS,LOAD"
    else:
        full, high, half, low = (one or 0 for one in said[:4])
        right = (
            "" if 0 < full <= half and 0 < low <= high <= 100  # noqa: PLR2004  # percent
            else "the seconds at the high load first, then more of them at a lower load"
        )  # fmt: skip
    if right:
        yield "runtimecal", section.find("runtimecal"), right
    least = 0 if section.driver == "nutdrv_qx" else -1
    for name, above, most in (("chargetime", 0, sys.maxsize), ("idleload", least, 100)):
        found = section.find(name)
        value = (_leading_number(found.value or "") or 0) if found else 1
        if not above < value <= most:
            yield name, found, "a number above 0" + (" up to 100" if name == "idleload" else "")


def _leading_number(text: str) -> float | None:
    """Return the number at the front of a text, as strtod does; None where there is none."""
    found = re.match(r"\s*[+-]?\d+\.?\d*|\s*[+-]?\.\d+", text)
    return float(found[0]) if found else None


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
