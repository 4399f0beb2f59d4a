"""`lint DIR` says what is wrong and where, here and on the UPS's host alike."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from tests.unit.power.lint.rendered import primary, secondary

from releve.cli.power_lint import command
from releve.errors import InputError
from releve.power.lint.host import look
from releve.power.lint.read import read_directory
from releve.power.lint.verb import main
from releve.power.lint.verdict import judge

if TYPE_CHECKING:
    from pathlib import Path


def written(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return written(tmp_path / "nut", primary())


def test_a_good_directory_is_ok(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(good)]) == 0
    assert capsys.readouterr().out == f"{good}: ok, 0 findings\n"


def test_a_refused_one_names_file_line_and_remedy(
    good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (good / "nut.conf").write_text("\nMODE=none\n")

    assert main([str(good)]) == 4
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(f"refuse {good}/nut.conf:2: MODE=none starts no daemon")
    assert first.endswith("(NC_MODE_NONE)")


def test_json_has_the_verdict_and_the_findings(
    good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (good / "upsmon.conf").write_text(primary()["upsmon.conf"] + "FINALDELAY 99\n")

    assert main([str(good), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"] == "warn"
    assert {one["id"] for one in document["findings"]} == {"UM_DUPLICATE", "UM_FINALDELAY_LONG"}
    assert {one["file"] for one in document["findings"]} == {"upsmon.conf"}


def test_no_such_directory_is_an_error_of_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "nowhere")]) == 2
    assert main([str(tmp_path)]) == 2
    assert "no such directory" in capsys.readouterr().err


def test_facts_of_the_host_come_from_a_file(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = tmp_path / "facts.json"
    right = {"mode": "0640", "owner": "root", "group": "nut"}
    facts.write_text(
        json.dumps(
            {
                "live": True,
                "addresses": ["192.0.2.12"],
                "files": {"upsd.users": right | {"group": "root"}, "upsmon.conf": right},
                "kill_power_flag": True,
            }
        )
    )

    assert main([str(good), "--facts", str(facts), "--json"]) == 4
    found = {one["id"] for one in json.loads(capsys.readouterr().out)["findings"]}
    assert found == {"UD_LISTEN_ABSENT", "FM_USERS_UNREADABLE", "HS_KILLPOWER_STRAY"}


@pytest.mark.parametrize("text", ["[]", "{", '{"files": {"a": {}}}', '{"files": 3}'])
def test_a_file_that_holds_no_facts_is_an_error_of_usage(
    good: Path, tmp_path: Path, text: str
) -> None:
    facts = tmp_path / "facts.json"
    facts.write_text(text)

    assert main([str(good), "--facts", str(facts)]) == 2


def test_a_client_is_held_against_its_server(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client = written(tmp_path / "client", secondary(nut_secondary_password="x1Y2z3A4b5C6d7E8"))  # noqa: S106

    assert main([str(client)]) == 0
    assert main([str(client), "--server", str(good)]) == 4
    assert "UM_WRONG_PASSWORD" in capsys.readouterr().out


def test_a_script_that_upsmon_calls_is_read_where_it_lies_beside(good: Path) -> None:
    (good / "upsmon.conf").write_text(
        primary()["upsmon.conf"].replace("/usr/sbin/upssched", "/etc/nut/told.sh")
    )
    assert main([str(good)]) == 0
    (good / "told.sh").write_text("#!/bin/sh\nupsmon -c fsd\n")
    assert main([str(good)]) == 4


def test_the_host_itself_is_looked_at(good: Path, tmp_path: Path) -> None:
    flag = tmp_path / "killpower"
    (good / "upsmon.conf").write_text(
        primary()["upsmon.conf"].replace("/run/nut/killpower", str(flag))
    )
    (good / "upsd.users").chmod(0o600)
    conf = read_directory(good)
    ids = {one.id for one in judge(look(conf, good)).findings}
    flag.touch()
    with_flag = {one.id for one in judge(look(conf, good)).findings}

    assert "FM_USERS_UNREADABLE" in ids
    assert "UD_LISTEN_ABSENT" in ids  # 192.0.2.11 is nobody's
    assert with_flag - ids == {"HS_KILLPOWER_STRAY"}


def test_what_upsmon_calls_is_looked_for_on_the_host(good: Path, tmp_path: Path) -> None:
    stop = tmp_path / "stop.sh"
    (good / "upsmon.conf").write_text(
        primary()["upsmon.conf"].replace("/sbin/shutdown -h +0", f"{stop} now")
    )
    conf = read_directory(good)

    def absent() -> bool:
        return "UM_SHUTDOWNCMD_ABSENT" in {one.id for one in judge(look(conf, good)).findings}

    assert absent()
    stop.write_text("#!/bin/sh\n/sbin/poweroff\n")
    assert absent()
    stop.chmod(0o755)
    assert not absent()


def test_the_command_says_the_same(good: Path) -> None:
    (good / "nut.conf").write_text("MODE=none\n")

    run = CliRunner().invoke(command, [str(good)], standalone_mode=False)
    assert run.return_value == 4
    assert "(NC_MODE_NONE)" in run.output
    with_json = CliRunner().invoke(command, [str(good), "--json"], standalone_mode=False)
    assert json.loads(with_json.output)["verdict"] == "refuse"
    nowhere = CliRunner().invoke(command, [str(good / "x")], standalone_mode=False)
    assert isinstance(nowhere.exception, InputError)
