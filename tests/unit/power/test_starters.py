"""Whoever starts guests beside the power side is found by what it would run."""

from __future__ import annotations

from pathlib import Path

import pytest

from releve.power import starters as module
from releve.power.starters import Starter, starters

REPOSITORY = Path(__file__).parents[3]
WATCHDOG = """\
#!/usr/bin/env bash
# qm start is what this does
while true; do
    for id in $(pct list | awk '{print $1}'); do
        ping -c 1 "$(address "$id")" || { pct stop "$id"; pct start "$id"; }
    done
    sleep 300
done
"""
UNIT = "[Service]\nExecStart=/usr/local/bin/ping-instances.sh 100 101\n"
BEGUN = "/etc/systemd/system/ping-instances.service"
SCRIPT = "/usr/local/bin/ping-instances.sh"


def host(root: Path, files: dict[str, str], enabled: tuple[str, ...] = ()) -> Path:
    for name, text in files.items():
        path = root / name.removeprefix("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    wants = root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    for name in enabled:
        (wants / name).symlink_to(f"../{name}")
    return root


def test_r_w07_a_watchdog_that_starts_silent_guests_is_found(tmp_path: Path) -> None:
    root = host(tmp_path, {BEGUN: UNIT, SCRIPT: WATCHDOG}, ("ping-instances.service",))

    assert starters(root) == (Starter(BEGUN, SCRIPT, 5),)


def test_one_that_nothing_enables_is_none_and_a_timer_enables_it(tmp_path: Path) -> None:
    root = host(tmp_path, {BEGUN: UNIT, SCRIPT: WATCHDOG})
    assert starters(root) == ()

    host(root, {}, ("ping-instances.timer",))
    assert starters(root) == (Starter(BEGUN, SCRIPT, 5),)


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("/etc/crontab", "* * * * * root qm status 100 | grep -q running || qm start 100\n", 1),
        ("/etc/cron.d/x", "# qm start 100\n*/5 * * * * root /opt/watch.sh\n", 1),
        ("/etc/cron.d/x", "* * * * * root pvesh create /nodes/a/qemu/1/status/start\n", 1),
        ("/var/spool/cron/crontabs/root", "@reboot sleep 60; pvesh create /nodes/a/startall\n", 1),
        ("/etc/cron.d/x", "* * * * * root qm list; pct list; virsh list\n", 0),
        ("/etc/cron.d/x", "* * * * * root /usr/bin/qmstart 1\n", 0),
    ],
)
def test_cron_is_looked_through(tmp_path: Path, name: str, text: str, found: int) -> None:
    root = host(tmp_path, {name: text, "/opt/watch.sh": "pct reboot 7\n"})

    assert len(starters(root)) == found


def test_what_cannot_be_read_or_is_no_script_is_passed_by(tmp_path: Path) -> None:
    text = "* * * * * root /opt/large /opt/none /opt/folder\n"
    root = host(tmp_path, {"/etc/cron.d/x": text, "/opt/large": "qm start 1\n" * 20_000})
    (root / "opt/folder").mkdir()

    assert starters(root) == ()
    assert starters(tmp_path / "nowhere") == ()


def test_r_w07_nothing_of_ours_starts_a_guest_but_by_its_name() -> None:
    """`late.py` alone does: after a boot, with the mains there (its own tests say so)."""
    code = [*(REPOSITORY / "scripts/releve/power").rglob("*.py")]
    code += [
        *REPOSITORY.glob("roles/nut_*/templates/*"),
        *REPOSITORY.glob("roles/nut_*/files/boot-gate"),
    ]
    found = {
        file.name
        for file in code
        if module._STARTS.search(file.read_text()) or "status/start" in file.read_text()
    }

    assert found <= {"late.py", "starters.py"}
    assert "late.py" in found
