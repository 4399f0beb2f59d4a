"""Who finds upsd and is let in, as it was seen on NUT 2.8.1 of Debian 13, with real daemons."""

from __future__ import annotations

import pytest

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


def _ids(files: dict[str, str]) -> set[str]:
    return {one.id for one in judge(read_texts(files)).findings}


@pytest.mark.parametrize(
    ("password", "let_in"),
    [
        ("a'b$1234", True),
        ("abc@d;ef|&!", True),
        ('abc"def', True),
        ("[abcdef]", True),
        ("caf\xe9x123", True),  # both files lose what is not ASCII
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
