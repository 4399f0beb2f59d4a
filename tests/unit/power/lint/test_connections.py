"""Who finds upsd and is let in, as it was seen on NUT 2.8.1 of Debian 13, with real daemons."""

from __future__ import annotations

import pytest

from releve.power.lint.model import Facts
from releve.power.lint.read import read_texts
from releve.power.lint.verdict import judge

LOGIN = {
    "UM_LOGIN_TAKEN_APART",
    "UM_WRONG_PASSWORD",
    "UM_USER_NOT_IN_UPSD_USERS",
    "UM_USER_HAS_NO_UPSMON_ROLE",
}


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("#", "\\#")
    return f'"{escaped}"'


def _ids(files: dict[str, str], facts: Facts | None = None) -> set[str]:
    return {one.id for one in judge(read_texts(files, facts)).findings}


def _asked(listen: str, system: str) -> dict[str, str]:
    return {
        "nut.conf": "MODE=netserver\n",
        "upsd.conf": listen,
        "upsmon.conf": f"MONITOR {system} 1 mon k3vQ8wZr primary\n",
    }


@pytest.mark.parametrize(
    ("password", "let_in"),
    [
        ("a'b$1234", True),
        ("abc@d;ef|&!", True),
        ('abc"def', True),
        ("[abcdef]", True),
        ("r\xe9seau9x", True),  # both files lose what is not ASCII
        ("abc def", False),
        ("abc#def", False),
        ("abc\\def", False),
        ("=abcdef", False),
        ("c2VjcmV0cGFzcw==", False),
        ("", False),
    ],
)
def test_a_password_that_both_files_agree_on_still_has_to_cross(
    password: str, let_in: bool
) -> None:
    quoted = _quoted(password)
    files = {
        "upsd.users": f"[mon]\npassword = {quoted}\nupsmon primary\n",
        "upsmon.conf": f"MONITOR ups1@localhost 1 mon {quoted} primary\n",
    }
    assert not _ids(files) & LOGIN if let_in else _ids(files) & LOGIN == {"UM_LOGIN_TAKEN_APART"}


def test_a_password_with_an_equals_sign_and_no_quotes_is_shorter_in_both_files() -> None:
    files = {
        "upsd.users": "[mon]\npassword = c2VjcmV0cGFzcw==\nupsmon primary\n",
        "upsmon.conf": "MONITOR ups1@192.0.2.1 1 mon c2VjcmV0cGFzcw== secondary\n",
    }
    found = _ids(files)
    assert {"UU_PASSWORD_SHORT", "UM_ROLE_UNKNOWN"} <= found
    assert not found & LOGIN


@pytest.mark.parametrize(
    ("listen", "system", "found"),
    [
        ("", "ups1", True),
        ("", "ups1@[::1]:3493", True),
        ("LISTEN localhost 3493\n", "ups1@localhost", True),
        ("LISTEN localhost 3493\n", "ups1@127.0.0.1", False),
        ("LISTEN ::\n", "ups1@localhost:3493", True),
        ("LISTEN ::\n", "ups1@127.0.0.1", False),
        ("LISTEN ::0\nLISTEN 0.0.0.0\n", "ups1@127.0.0.1", True),
        ("LISTEN *\n", "ups1@127.0.0.1", True),
        ("LISTEN ::1\n", "ups1@localhost", True),
        ("LISTEN ::1\n", "ups1@127.0.0.1", False),
        ("LISTEN 0.0.0.0\n", "ups1@[::1]", False),
        ("LISTEN 127.0.0.1\n", "ups1@127.0.1.1", False),
        ("LISTEN 127.1\n", "ups1@127.0.0.1", True),
        ("LISTEN 127.0.0.1 nut\n", "ups1@localhost:3493", True),
        ("LISTEN 127.0.0.1 3494\n", "ups1@localhost", False),
        ("LISTEN FE80::1%eth0\n", "ups1@localhost", False),
    ],
)
def test_a_monitor_finds_what_upsd_binds(listen: str, system: str, found: bool) -> None:
    assert ("UM_NOBODY_LISTENS" not in _ids(_asked(listen, system))) is found


@pytest.mark.parametrize(
    ("listen", "shadowed"),
    [
        # As guides have it, and as it was tried with two sockets that have SO_REUSEADDR.
        ("LISTEN 127.0.0.1 3493\nLISTEN 0.0.0.0 3493\n", True),
        ("LISTEN 127.0.0.1\nLISTEN 0.0.0.0\nLISTEN ::\n", True),
        ("LISTEN ::1\nLISTEN ::0\n", True),
        ("LISTEN localhost\nLISTEN ::\n", True),
        ("LISTEN 192.0.2.9\nLISTEN *\n", True),
        ("LISTEN 0.0.0.0\nLISTEN 127.0.0.1\n", False),  # the second fails, and is not missed
        ("LISTEN 127.0.0.1\nLISTEN ::\n", False),
        ("LISTEN localhost\nLISTEN 0.0.0.0\n", False),
        ("LISTEN 127.0.0.1 3493\nLISTEN 0.0.0.0 3494\n", False),
        ("LISTEN 127.0.0.1\nLISTEN 192.0.2.9\n", False),
        ("LISTEN 0.0.0.0\nLISTEN ::\n", False),
    ],
)
def test_all_addresses_are_not_to_be_had_beside_one_of_them(listen: str, shadowed: bool) -> None:
    assert ("UD_LISTEN_SHADOWED" in _ids(_asked(listen, "ups1"))) is shadowed


def test_who_asks_for_what_upsd_did_not_get_finds_nothing() -> None:
    files = _asked("LISTEN 192.0.2.9\nLISTEN 0.0.0.0\n", "ups1@127.0.0.1")
    assert {"UD_LISTEN_SHADOWED", "UM_NOBODY_LISTENS"} <= _ids(files)


def test_debian_12_binds_the_last_line_first() -> None:
    files = _asked("LISTEN 127.0.0.1\nLISTEN 0.0.0.0\n", "ups1@127.0.0.1")
    assert "UD_LISTEN_SHADOWED" not in _ids(files, Facts(release=(2, 8, 0)))
    there = read_texts({"upsd.conf": "LISTEN 127.0.0.1\nLISTEN 192.0.2.9\n"},
                       Facts(release=(2, 8, 0)))  # fmt: skip
    assert {one.at for one in judge(there).findings} == {"192.0.2.9"}  # UD_LISTEN_FIRST


def test_a_host_without_version_6_has_one_localhost() -> None:
    files = _asked("LISTEN localhost\n", "ups1@127.0.0.1")
    assert "UM_NOBODY_LISTENS" not in _ids(files, Facts(addresses=frozenset({"127.0.0.1"})))


def test_a_name_is_not_judged_by_its_letters() -> None:
    server = read_texts({"nut.conf": "MODE=netserver\n", "upsd.conf": "LISTEN 192.0.2.9\n"})
    assert server.upsd is not None
    assert server.upsd.hears("nas.example.org", "3493")
    assert server.upsd.hears("192.0.2.9", "3493")
    assert not server.upsd.hears("192.0.2.8", "3493")


def test_an_address_of_version_6_has_one_form() -> None:
    here = Facts(addresses=frozenset({"2001:db8::9"}))
    files = _asked("LISTEN 127.0.0.1\nLISTEN 2001:DB8:0::9\n", "ups1@[2001:0db8::9]")
    assert not {"UD_LISTEN_ABSENT", "UM_REMOTE_PRIMARY"} & _ids(files, here)


@pytest.mark.parametrize(
    ("system", "valid"),
    [
        ("ups1@192.0.2.1:3493", True),
        ("ups1@192.0.2.1:03493", True),
        ("ups1@[2001:db8::1]", True),
        ("ups1@192.0.2.1:", False),
        ("ups1@192.0.2.1:0", False),
        ("ups1@192.0.2.1:65536", False),
        ("ups1@2001:db8::1", False),  # upsmon splits at the first colon
        ("ups1@", False),
        ("ups1@http://192.0.2.1", False),
        ("ups1@192.0.2.300", False),
        ("ups1@xxx.xxx.xxx.xxx", True),  # who made it public has taken the address out
    ],
)
def test_a_place_is_split_as_upsmon_splits_it(system: str, valid: bool) -> None:
    files = {"upsmon.conf": f"MONITOR {system} 1 mon k3vQ8wZr secondary\n"}
    assert ("UM_HOST_INVALID" not in _ids(files)) is valid


@pytest.mark.parametrize(
    ("wait", "short"),
    [
        ("0", True),
        ("60", True),
        ("60.5", False),
        ("15m", False),
        ("1h 30m", False),
        ("infinity", False),
        ("15min", True),  # sleep refuses it, and the hook goes on to the restart
        ("-1", True),
        ("", False),
    ],
)
def test_a_host_must_not_boot_before_its_output_goes_off(wait: str, short: bool) -> None:
    files = _asked("", "ups1") | {
        "nut.conf": f'MODE=netserver\nPOWEROFF_WAIT="{wait}"\n',
        "ups.conf": "[ups1]\ndriver = usbhid-ups\nport = auto\noffdelay = 60\nondelay = 120\n",
    }
    assert ("NC_POWEROFF_WAIT_SHORT" in _ids(files)) is short
