"""Alarms arrive, or wait on disk until they do; with real apprise and servers on loopback."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.unit.power.small_servers import Mailbox, Posts, mailbox, posts

from releve.errors import CheckError, InputError
from releve.power import notify
from releve.power.notify import Apprise, Config, Target, code_of, send_test, send_waiting
from releve.power.spool import MOST, Alarm, raise_alarm, waiting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from releve.power.spool import Severity

NEEDS_APPRISE = "apprise, of the dev group of pyproject.toml, is not installed"
CALL = "import sys; from releve.power.notify import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture
def mail() -> Iterator[Mailbox]:
    with mailbox() as box:
        yield box


@pytest.fixture
def web() -> Iterator[Posts]:
    with posts() as kept:
        yield kept


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    folder = tmp_path / "spool"
    folder.mkdir()
    return folder


def config(*urls: str) -> Config:
    return Config(tuple(Target.of(url) for url in urls), "Exempleville")


def mail_url(box: Mailbox) -> str:
    return f"mailto://127.0.0.1:{box.port}/?mode=insecure&from=ups@example.org&to=admin@example.org"


class Memory:
    """A sender that keeps what it is given, and refuses the targets in `refuses`."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str]] = []
        self.refuses: set[str] = set()

    def send(self, url: str, title: str, body: str, severity: Severity) -> bool:
        if url in self.refuses:
            return False
        self.sent.append((url, f"{severity} {title}", body))
        return True


def test_an_alarm_arrives_by_mail_ntfy_matrix_and_webhook(
    mail: Mailbox, web: Posts, spool: Path
) -> None:
    pytest.importorskip("apprise", reason=NEEDS_APPRISE)
    targets = config(
        mail_url(mail),
        f"ntfy://127.0.0.1:{web.port}/townhall",
        f"json://127.0.0.1:{web.port}/hook",
        f"matrix://user:secret@127.0.0.1:{web.port}/!room:127.0.0.1?version=3",
    )
    raise_alarm(Alarm("lost-contact", "ups1", "été: the UPS cannot be seen"), spool)

    assert send_waiting(targets, Apprise(), spool) == []

    assert mail.mails[0]["To"] == "admin@example.org"
    assert "Exempleville: ups1" in mail.mails[0]["Subject"]
    assert "été: the UPS cannot be seen" in mail.mails[0].get_body().get_content()  # type: ignore[union-attr]
    (ntfy,) = [words for words in web.bodies("/") if "townhall" in json.dumps(words)]
    assert "the UPS cannot be seen" in ntfy["message"]
    (hook,) = web.bodies("/hook")
    assert (hook["type"], "the UPS cannot be seen" in hook["message"]) == ("warning", True)
    (matrix,) = web.bodies("/send/m.room.message")
    assert "the UPS cannot be seen" in matrix["body"]
    assert waiting(spool) == []


def test_what_could_not_go_is_sent_later_and_only_where_it_is_missing(
    mail: Mailbox, web: Posts, spool: Path
) -> None:
    pytest.importorskip("apprise", reason=NEEDS_APPRISE)
    targets = config(mail_url(mail), f"json://127.0.0.1:{web.port}/hook")
    mail.down = True
    raise_alarm(Alarm("nut-onbatt", "ups1", "the mains are lost", at=1_750_000_000), spool)
    raise_alarm(Alarm("nut-online", "ups1", "the mains are there", "success"), spool)

    assert send_waiting(targets, Apprise(), spool) == [targets.targets[0].shown]
    assert len(waiting(spool)) == 2

    mail.down = False
    assert send_waiting(targets, Apprise(), spool) == []

    assert len(web.bodies("/hook")) == 1  # one message for both, and not again
    (message,) = mail.mails
    text = message.get_body().get_content()  # type: ignore[union-attr]
    assert "the mains are lost" in text
    assert "(sent late)" in text.splitlines()[0]
    assert "the mains are there" in text
    assert waiting(spool) == []


def test_a_test_carries_a_code_for_each_channel(mail: Mailbox, web: Posts) -> None:
    pytest.importorskip("apprise", reason=NEEDS_APPRISE)
    targets = config(mail_url(mail), f"json://127.0.0.1:{web.port}/hook", "json://127.0.0.1:1/x")

    told = send_test(targets, Apprise(), "seed")

    assert [one["sent"] for one in told] == [True, True, False]
    first, second = (code_of("seed", one["target"]) for one in told[:2])
    assert first in mail.mails[0].get_body().get_content()  # type: ignore[union-attr]
    assert second in web.bodies("/hook")[0]["message"]
    assert first != second
    assert code_of("another", told[0]["target"]) != first


def test_nut_hands_its_events_over_without_waiting_for_anybody(tmp_path: Path, spool: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CALL, "event", "--spool", str(spool)],
        env=os.environ | {"NOTIFYTYPE": "ONBATT", "UPSNAME": "ups1@localhost"},
        cwd=tmp_path, check=False, capture_output=True, text=True, timeout=30,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    (alarm,) = waiting(spool)
    assert (alarm.topic, alarm.ups, alarm.severity) == ("nut-onbatt", "ups1", "warning")
    assert alarm.text == "the mains are lost; it runs on battery"


def test_a_test_of_ours_is_no_power_cut(
    tmp_path: Path, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["event", "--spool", str(spool), "--tests", str(tmp_path)]
    monkeypatch.setenv("UPSNAME", "ups1@localhost")
    journal = tmp_path / "ups1.jsonl"
    journal.touch()
    for kind in ("ONBATT", "ONLINE", "LOWBATT"):
        monkeypatch.setenv("NOTIFYTYPE", kind)
        assert notify.main(words) == 0
    assert [one.topic for one in waiting(spool)] == ["nut-lowbatt"]

    os.utime(journal, (1, 1))  # over since long
    monkeypatch.setenv("NOTIFYTYPE", "ONBATT")
    assert notify.main(words) == 0
    assert waiting(spool)[-1].topic == "nut-onbatt"


def test_with_nobody_to_tell_nothing_piles_up(tmp_path: Path, spool: Path) -> None:
    file = tmp_path / "notify.json"
    file.write_text('{"site": "Exempleville", "urls": []}')
    raise_alarm(Alarm("x", "ups1", "for the journal"), spool)

    assert notify.main(["send", "--config", str(file), "--spool", str(spool)]) == 0
    assert list(spool.iterdir()) == []


def test_an_event_that_nobody_knows_is_told_with_its_own_word() -> None:
    assert notify.event_alarm("SUSPENDED", "ups1@localhost").text == "NUT says SUSPENDED"
    assert notify.event_alarm("", "").ups == "NUT"


def test_many_alarms_are_one_message_named_after_the_worst(spool: Path) -> None:
    sender = Memory()
    for number in range(30):
        raise_alarm(Alarm("x", "ups1", f"event {number}", "info", at=1000.0 + number), spool)
    raise_alarm(Alarm("y", "ups1", "the battery is low", "failure", at=1010.5), spool)

    send_waiting(config("json://a/1"), sender, spool)

    ((_url, title, body),) = sender.sent
    assert title == "failure Exempleville: ups1: the battery is low (and 30 more)"
    assert body.splitlines()[0] == "11 earlier ones are left out."
    assert body.splitlines()[-1].endswith("event 29")


def test_an_alarm_of_two_lines_arrives_under_a_title_of_one(mail: Mailbox, spool: Path) -> None:
    pytest.importorskip("apprise", reason=NEEDS_APPRISE)
    raise_alarm(Alarm("budget", "ups1", "qm unlock 101: no quorum\nerror\r\n\tBcc: x@y.z"), spool)
    raise_alarm(Alarm("budget", "ups1", "small", severity="info"), spool)

    assert send_waiting(config(mail_url(mail)), Apprise(), spool) == []

    (arrived,) = mail.mails
    assert "qm unlock 101: no quorum error Bcc: x@y.z (and 1 more)" in arrived["Subject"]
    assert "Bcc" not in arrived


def test_a_target_that_the_library_cannot_read_is_told_without_its_secret(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pytest.importorskip("apprise", reason=NEEDS_APPRISE)
    url = "mailtos://town:p@ss#w0rd@smtp.example.org?to=a@example.org"

    assert not Apprise().send(url, "title", "body", "info")

    (said,) = caplog.messages
    assert said.startswith(f"{Target.of(url).shown}: apprise knows no such URL")
    assert "w0rd" not in said


def test_one_dead_target_keeps_nothing_from_the_others(spool: Path) -> None:
    sender = Memory()
    sender.refuses = {"json://dead/1"}
    targets = config("json://dead/1", "json://alive/1")
    for text in ("first", "second"):
        raise_alarm(Alarm("x", "ups1", text), spool)
        send_waiting(targets, sender, spool)

    assert [body.partition("ups1: ")[2] for _url, _title, body in sender.sent] == [
        "first",
        "second",
    ]
    assert len(waiting(spool)) == 2


@pytest.mark.parametrize("refuses", [set(), {"json://c/1"}])
def test_a_full_disk_tells_every_target_and_once(
    spool: Path, monkeypatch: pytest.MonkeyPatch, refuses: set[str]
) -> None:
    sender, targets = Memory(), config("json://a/1", "json://b/1", "json://c/1")
    sender.refuses = refuses
    raise_alarm(Alarm("x", "ups1", "first"), spool)

    def full(_number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    send_waiting(targets, sender, spool)
    if not refuses:
        send_waiting(targets, sender, spool)

    assert sorted(url for url, _, _ in sender.sent) == sorted(
        {"json://a/1", "json://b/1", "json://c/1"} - refuses
    )
    assert bool(waiting(spool)) == bool(refuses)
    assert list(spool.glob(".*")) == [], "a full disk is to be filled by nothing of ours"


def test_a_file_that_cannot_be_read_keeps_no_other_alarm(spool: Path) -> None:
    (spool / "0.json").mkdir()
    raise_alarm(Alarm("x", "ups1", "first"), spool)

    assert [alarm.text for alarm in waiting(spool)] == ["first"]


def test_a_target_that_is_given_up_keeps_no_alarm_for_ever(spool: Path) -> None:
    sender = Memory()
    sender.refuses = {"json://dead/1"}
    raise_alarm(Alarm("x", "ups1", "first"), spool)
    send_waiting(config("json://alive/1", "json://dead/1"), sender, spool)
    send_waiting(config("json://alive/1"), sender, spool)

    assert waiting(spool) == []
    assert len(sender.sent) == 1


def test_a_spool_does_not_grow_for_ever_nor_choke(spool: Path) -> None:
    for number in range(MOST + 5):
        (spool / f"{number:05}.json").write_text("{")

    assert waiting(spool) == []
    assert len(list(spool.glob("*.unreadable"))) == MOST


def test_secrets_are_shown_to_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = "ntfys://user:pass-word@ntfy.example.org/town"
    file = tmp_path / "notify.json"
    file.write_text(json.dumps({"site": "Exempleville", "urls": [url]}))

    read = Config.read(file)

    assert "pass-word" not in repr(read)
    assert "example.org" not in read.targets[0].shown
    file.write_text(json.dumps({"site": "x", "urls": [url, "no url pass-word"]}))
    with pytest.raises(InputError) as error:
        Config.read(file)
    assert "pass-word" not in str(error.value)
    assert notify.main(["send", "--config", str(file), "--spool", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert "pass-word" not in said.out + said.err


def test_without_apprise_alarms_are_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spool: Path
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    file = tmp_path / "notify.json"
    file.write_text('{"site": "Exempleville", "urls": ["json://127.0.0.1:1/x"]}')
    words = ["send", "--config", str(file), "--spool", str(spool)]

    assert notify.main(words) == 0  # nothing waits, nothing is loaded
    raise_alarm(Alarm("x", "ups1", "kept"), spool)
    assert notify.main(words) == CheckError.exit_code
    assert [alarm.text for alarm in waiting(spool)] == ["kept"]
