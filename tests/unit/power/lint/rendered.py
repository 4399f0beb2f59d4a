"""A good pair of hosts: the templates of our own roles with their defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import yaml

from releve.power.stock import Numbers

ROLES = Path(__file__).parents[4] / "roles"
PRIMARY_PASSWORD = "k3vQ8wZr-T1xN_b7Yh2mLd9s"  # noqa: S105  # of nobody
SECONDARY_PASSWORD = "u6Jf0pRz_W4cGq8Xa-E1tBn5"  # noqa: S105  # of nobody
ADDRESS = "192.0.2.11"
PRIMARY_FILES = ("nut.conf", "ups.conf", "upsd.conf", "upsd.users", "upsmon.conf", "upssched.conf")
SECONDARY_FILES = ("nut.conf", "upsmon.conf")


def _defaults(role: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROLES / role / "defaults/main.yml").read_text())
    return found


def _render(role: str, names: tuple[str, ...], values: dict[str, Any]) -> dict[str, str]:
    # As Ansible does it; these are configuration files, no web page.
    environment = jinja2.Environment(  # noqa: S701
        loader=jinja2.FileSystemLoader(ROLES / role / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    return {name: environment.get_template(f"{name}.j2").render(values) for name in names}


def primary(**changed: Any) -> dict[str, str]:
    """Return the files of a host with a USB UPS and two clients."""
    values = _defaults("nut_primary")
    device = values["nut_primary_device"] | {
        "name": "ups1",
        "driver": "usbhid-ups",
        "options": {"serial": "AB1234"},
    }
    values |= {
        "ansible_managed": "Ansible managed",
        "nut_primary_addresses": [ADDRESS],
        "nut_primary_password": PRIMARY_PASSWORD,
        "nut_primary_secondary_password": SECONDARY_PASSWORD,
        "nut_primary_hostsync": 120,
        "__nut_primary_devices": [device],
        "__nut_primary_delays": {"ups1": {"offdelay": 60, "ondelay": 120, "faults": []}},
        "__nut_primary_followed": [
            {"name": "ups1", "device": "ups1", "virtual": False, "supplies": 1}
        ],
        "__nut_primary_thresholds": {
            "ups1": Numbers(900, "", runtime_low=600, charge_low=40).as_json()
        },
    }
    return _render("nut_primary", PRIMARY_FILES, values | changed)


def secondary(**changed: Any) -> dict[str, str]:
    """Return the files of a client of that host."""
    monitor = {"ups": "ups1", "server": ADDRESS, "supplies": 1, "tls": True, "user": "secondary"}
    values = _defaults("nut_secondary") | {
        "ansible_managed": "Ansible managed",
        "nut_secondary_password": SECONDARY_PASSWORD,
        "__nut_secondary_monitors": [monitor],
        "__nut_secondary_over_tls": [monitor],
        "__nut_secondary_guests_unit": {"stdout": ""},
    }
    return _render("nut_secondary", SECONDARY_FILES, values | changed)
