"""A copy of /etc is judged with its drop-ins of systemd."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.power.lint.rendered import primary, secondary

from releve.power.lint.units import parse, read_units, words
from releve.power.lint.verb import lines, lint
from releve.power.lint.verdict import GROUPS

if TYPE_CHECKING:
    from pathlib import Path

SYSTEMD = "systemd/system"
DROPIN = f"{SYSTEMD}/nut-monitor.service.d/own.conf"
GUESTS = f"{SYSTEMD}/pve-guests.service.d/own.conf"
DRIVER = f"{SYSTEMD}/nut-driver@.service.d/own.conf"
ON_DISK = {
    **primary(), "upsmon.conf": primary()["upsmon.conf"].replace("/run/nut/kill", "/etc/kill"),
}  # fmt: skip


def etc(folder: Path, files: dict[str, str], units: dict[str, str | None]) -> Path:
    """Write a copy of /etc; a unit of None is masked."""
    for name, text in {f"nut/{name}": text for name, text in files.items()}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for name, content in units.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.symlink_to("/dev/null")
        else:
            path.write_text(content)
    return folder


def ids(folder: Path) -> set[str]:
    return {one.id for one in lint(folder).findings}


def test_what_our_roles_leave_beside_the_files_is_ok(tmp_path: Path) -> None:
    folder = etc(
        tmp_path, primary(),
        {
            f"{SYSTEMD}/nut-driver@.service.d/releve.conf": "[Service]\nRestartSec=1s\n",
            f"{SYSTEMD}/nut-server.service.d/releve.conf": (
                "[Unit]\nAfter=network-online.target\n[Service]\nWatchdogSec=10s\n"
            ),
            GUESTS: "[Service]\nExecStartPre=/usr/local/lib/releve/boot-gate 1 2\n",
        },
    )  # fmt: skip

    assert lint(folder).findings == ()


# finding -> files of NUT, units
CASES: dict[str, tuple[dict[str, str], dict[str, str | None]]] = {
    "SD_MASKED": (primary(), {f"{SYSTEMD}/nut-monitor.service": None}),
    "SD_OTHER_FILES": (primary(), {DROPIN: "[Service]\nEnvironment=NUT_CONFPATH=/srv/nut\n"}),
    "SD_OTHER_PROGRAM": (primary(), {DROPIN: "[Service]\nExecStart=\nExecStart=/opt/mon -D\n"}),
    "SD_MONITOR_WITHOUT_ROOT": (primary(), {DROPIN: "[Service]\nUser=nut\n"}),
    "SD_FLAG_NOT_WRITABLE": (ON_DISK, {DROPIN: "[Service]\nProtectSystem=full\n"}),
    "SD_SHUT_OFF": (primary(), {DRIVER: "[Service]\nPrivateDevices=yes\n"}),
    "SD_GUESTS_UNWAITED": (secondary(), {GUESTS: "[Unit]\nDescription=x\n"}),
    "SD_IGNORED": (primary(), {DROPIN: "[Service]\nRestart always\n"}),
    "SD_NOT_JUDGED": (primary(), {DROPIN: "[Service]\nExecStartPre=/bin/sleep 30\n"}),
}


@pytest.mark.parametrize("identity", CASES)
def test_a_rule_finds_its_fault(identity: str, tmp_path: Path) -> None:
    files, units = CASES[identity]
    folder = etc(tmp_path, files, units)

    assert identity in ids(folder)
    assert {one for one in ids(folder) if one.startswith("SD_")} == {identity}
    assert identity in GROUPS["Drop-ins of systemd"]


def test_every_rule_of_units_has_an_example() -> None:
    assert set(CASES) == set(GROUPS["Drop-ins of systemd"])


@pytest.mark.parametrize(
    ("unit", "mode", "bad"),
    [
        ("nut-server.service", "netserver", True),
        ("nut-server.service", "netclient", False),
        ("nut-driver@ups1.service", "netserver", True),
        ("nut-driver-enumerator.service", "netserver", False),
    ],
)
def test_a_mask_counts_where_the_mode_needs_the_unit(
    tmp_path: Path, unit: str, mode: str, *, bad: bool
) -> None:
    files = primary() if mode == "netserver" else secondary()

    assert ("SD_MASKED" in ids(etc(tmp_path, files, {f"{SYSTEMD}/{unit}": None}))) is bad


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ("ProtectSystem=strict\n", True),
        ("ProtectSystem=strict\nReadWritePaths=-/run/nut\n", False),
        ("ProtectSystem=full\n", False),
        ("ProtectSystem=no\n", False),
        ("ReadOnlyPaths=/run\n", True),
        ("PrivateTmp=yes\n", False),
    ],
)
def test_the_flag_in_memory_must_stay_writable(tmp_path: Path, text: str, *, bad: bool) -> None:
    folder = etc(tmp_path, primary(), {DROPIN: f"[Service]\n{text}"})

    assert ("SD_FLAG_NOT_WRITABLE" in ids(folder)) is bad


@pytest.mark.parametrize(
    ("unit", "text", "bad"),
    [
        ("nut-driver@ups1", "PrivateDevices=true\n", True),
        ("nut-driver@", "PrivateDevices=no\n", False),
        ("nut-driver@", "DevicePolicy=closed\n", True),
        ("nut-driver@", "DevicePolicy=closed\nDeviceAllow=char-usb_device rw\n", False),
        ("nut-driver@", "DevicePolicy=auto\n", False),
        ("nut-driver@", "PrivateNetwork=yes\n", False),  # by a cable
        ("nut-server", "PrivateNetwork=yes\n", True),
        ("nut-server", "PrivateDevices=yes\n", False),
        ("nut-monitor", "PrivateNetwork=yes\n", True),
    ],
)
def test_a_daemon_reaches_what_it_needs(tmp_path: Path, unit: str, text: str, *, bad: bool) -> None:
    folder = etc(tmp_path, primary(), {f"{SYSTEMD}/{unit}.service.d/a.conf": f"[Service]\n{text}"})

    assert ("SD_SHUT_OFF" in ids(folder)) is bad


def test_a_card_on_the_network_needs_no_cable(tmp_path: Path) -> None:
    card = "[ups1]\n driver = snmp-ups\n port = 192.0.2.7\n"
    files = {**primary(), "ups.conf": card}

    for text, bad in (("PrivateDevices=yes", False), ("PrivateNetwork=yes", True)):
        folder = etc(tmp_path / text, files, {DRIVER: f"[Service]\n{text}\n"})
        assert ("SD_SHUT_OFF" in ids(folder)) is bad


def test_upsd_may_open_more_where_a_drop_in_lets_it(tmp_path: Path) -> None:
    files = {**primary(), "upsd.conf": f"{primary()['upsd.conf']}MAXCONN 2048\n"}
    dropin, text = f"{SYSTEMD}/nut-server.service.d/own.conf", "[Service]\nLimitNOFILE=4096\n"

    assert ids(etc(tmp_path / "a", files, {dropin: text})) == set()
    assert ids(etc(tmp_path / "b", files, {})) == {"UD_MAXCONN"}


def test_a_link_that_leads_out_of_the_copy_is_passed_by(tmp_path: Path) -> None:
    folder = etc(tmp_path, primary(), {DROPIN: "[Service]\nUser=nut\n"})
    (folder / SYSTEMD / "nut-monitor.service").symlink_to("/srv/nowhere/nut-monitor.service")
    (folder / SYSTEMD / "nut-server.service").symlink_to("nut-server.service")

    assert ids(folder) == {"SD_MONITOR_WITHOUT_ROOT"}


def test_a_later_drop_in_wins(tmp_path: Path) -> None:
    again = f"{SYSTEMD}/nut-monitor.service.d/zz.conf"
    folder = etc(
        tmp_path, primary(), {DROPIN: "[Service]\nUser=nut\n", again: "[Service]\nUser=root\n"}
    )

    assert ids(folder) == set()


@pytest.mark.parametrize(
    ("stays", "unit", "text", "bad"),
    [
        (True, GUESTS, "After=nut-monitor.service", False),
        (True, DROPIN, "Before=pve-guests.service", False),
        (False, GUESTS, "After=nut-monitor.service", True),
        (True, GUESTS, "After=network.target", True),
    ],
)
def test_guests_of_a_secondary_need_both_halves(
    tmp_path: Path, *, stays: bool, unit: str, text: str, bad: bool
) -> None:
    guests = {"stdout": "pve-guests.service" if stays else ""}
    files = secondary(__nut_secondary_guests_unit=guests)
    folder = etc(tmp_path, files, {unit: f"[Unit]\n{text}\n"})
    (folder / "pve").mkdir()

    assert ("SD_GUESTS_UNWAITED" in ids(folder)) is bad


def test_a_copy_of_the_whole_root_is_one_too(tmp_path: Path) -> None:
    root = tmp_path / "root"
    etc(root / "etc", primary(), {f"{SYSTEMD}/nut-monitor.service": None})
    found = list(lines(lint(root), root))

    assert found[0].startswith(f"refuse {root}/etc/systemd/system/nut-monitor.service: nut-monitor")


def test_nut_s_own_files_are_named_where_they_are(tmp_path: Path) -> None:
    files = {**primary(), "nut.conf": "MODE=none\n"}
    found = list(lines(lint(etc(tmp_path, files, {})), tmp_path))

    assert found[0].startswith(f"refuse {tmp_path}/nut/nut.conf:1: ")


def test_a_folder_of_nut_alone_has_no_units(tmp_path: Path) -> None:
    folder = etc(tmp_path, primary(), {f"{SYSTEMD}/nut-monitor.service": None})

    assert {one.id for one in lint(folder / "nut").findings} == set()


def test_a_file_of_a_unit_is_read_as_systemd_reads_it() -> None:
    text = "# c\n[Service]\nExecStart=a \\\n  b\n; c\nKey\n=x\nEnvironment='A=1 2' B=3\n"
    settings, ignored = parse("u", "f", text)

    assert [(one.line, one.key, one.value) for one in settings] == [
        (3, "ExecStart", "a    b".replace("    ", "  ")), (8, "Environment", "'A=1 2' B=3"),
    ]  # fmt: skip
    assert ignored == [6, 7]
    assert words(settings[1].value) == ["A=1 2", "B=3"]
    assert words("it's") == ["it's"]


def test_a_file_that_systemd_passes_by_is_said(tmp_path: Path) -> None:
    folder = etc(tmp_path, primary(), {f"{SYSTEMD}/nut-server.service.d/own.txt": "[Service]\n"})

    assert read_units(folder).ignored == ((f"{SYSTEMD}/nut-server.service.d/own.txt", 0),)
    assert "SD_IGNORED" in ids(folder)
