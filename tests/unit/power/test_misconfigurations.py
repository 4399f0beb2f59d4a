"""Twelve misconfigurations, each seeded into a good pair of hosts, refused, and put right again.

The files are real ones in a folder, with their modes, and are looked at as on the host; upsd is the
small one of these tests. The page `docs/how-to/survive-a-power-cut.md` lists the same twelve.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.unit.power.certificates import authority
from tests.unit.power.lint.rendered import (
    PRIMARY_PASSWORD,
    SECONDARY_PASSWORD,
    primary,
    secondary,
)
from tests.unit.power.small_upsd import SmallUpsd, serving

from releve.power.gate import Config, Outside, look
from releve.power.gate_checks import checks_of
from releve.power.lint import rules_upsmon
from releve.power.lint.verb import main as lint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGE = Path(__file__).parents[3] / "docs/how-to/survive-a-power-cut.md"
CLIENT, OWN = "192.0.2.12", "127.0.0.1"
GOOD = {"ups.status": "OL", "input.voltage": "231.0", "battery.charge": "100", "ups.load": "20"}


@dataclass
class Site:
    """A host's files, what its upsd says, and what its gate is told; `client`: that of a client."""

    folder: Path
    upsd: SmallUpsd
    authorities: dict[str, Path]
    client: bool = False
    trusts: str = "right"
    files: dict[str, str] = field(default_factory=dict)

    def write(self) -> None:
        """Write all of it as it is right."""
        self.upsd.logged_in = [OWN, CLIENT]
        self.trusts = "right"
        own: dict[str, list[str]] = {"nut_primary_addresses": [], "__nut_secondary_over_tls": []}
        self.files = secondary(**own) if self.client else primary(**own)
        for file in self.nut.iterdir() if self.nut.exists() else ():
            file.unlink()
        self.flag.unlink(missing_ok=True)
        self.nut.mkdir(exist_ok=True)
        (self.folder / "tls-trusted").mkdir(exist_ok=True)
        for name, text in self.files.items():
            # A client's flag has to be in memory; the primary's is made and removed here.
            here = text if self.client else text.replace("/run/nut/killpower", str(self.flag))
            self.put(name, here.replace("/etc/nut/tls-trusted", str(self.folder / "tls-trusted")))

    @property
    def nut(self) -> Path:
        return self.folder / "nut"

    @property
    def flag(self) -> Path:
        return self.folder / "killpower"

    def put(self, name: str, text: str) -> None:
        (self.nut / name).write_text(text)
        (self.nut / name).chmod(0o644)

    def change(self, name: str, old: str, new: str) -> None:
        text = (self.nut / name).read_text()
        assert old in text, f"{name} has no {old}"
        self.put(name, text.replace(old, new))

    def refused(self) -> dict[str, str]:
        """Return what the gate refuses: its checks, and the linter's sentences for `nut-files`."""
        content = {
            "format": 1,
            "role": "secondary" if self.client else "primary",
            "nut": str(self.nut),
            "measured": str(self.folder),
            "tls_ca": str(self.authorities[self.trusts]),
            "tls_name": "ups.example.org",
            "upses": [{"name": "ups1", "port": self.upsd.link.port, "logins": [OWN, CLIENT]}],
        }
        file = self.folder / "power.json"
        file.write_text(json.dumps(content))
        clock = iter(range(1000))
        outside = Outside(lambda: next(clock) * 10.0, lambda _: None, lambda: 1, lambda _: ())
        seen = look(Config.read(file), outside)
        texts = {f"nut-files {one.id}": one.text for one in seen.faults}
        return texts | {
            one.id: one.value
            for one in checks_of(seen)
            if one.verdict == "failed" and one.id != "nut-files"
        }


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(rules_upsmon, "SWEPT", "/swept/")  # the folder of the test may be in /tmp
    right, pair = authority(tmp_path, "right")
    wrong, _ = authority(tmp_path, "wrong")
    small = SmallUpsd(values=dict(GOOD), logged_in=[OWN, CLIENT], certificate=pair)
    with serving(small) as upsd:
        one = Site(tmp_path, upsd, {"right": right, "wrong": wrong})
        one.write()
        yield one


OF_A_CLIENT = "a secondary with a driver section"
# Name -> how it is seeded, what refuses it, and words of the sentence.
SEEDED: dict[str, tuple[Callable[[Site], None], str, str]] = {
    "`MODE=none`": (
        lambda site: site.change("nut.conf", "MODE=netserver", "MODE=none"),
        "nut-files NC_MODE_NONE", "MODE=none starts no daemon",
    ),
    "`MODE` with spaces": (
        lambda site: site.change("nut.conf", "MODE=netserver", "MODE = netserver"),
        "nut-files NC_MODE_SPACES", "MODE with blanks around the equals sign",
    ),
    "`upsmon.conf` that its group cannot read": (
        lambda site: (site.nut / "upsmon.conf").chmod(0o600),
        "nut-files FM_UPSMON_UNREADABLE", "each later reload fails unseen",
    ),
    "`upsd.users` that upsd cannot read": (
        lambda site: (site.nut / "upsd.users").chmod(0o600),
        "nut-files FM_USERS_UNREADABLE", "upsd runs with no users",
    ),
    "`LISTEN` on an address that is not there": (
        lambda site: site.change("upsd.conf", "LISTEN 127.0.0.1", "LISTEN 192.0.2.99"),
        "nut-files UD_LISTEN_ABSENT", "192.0.2.99, an address that this host does not have",
    ),
    "`#` in a password": (
        lambda site: site.change("upsd.users", f'"{PRIMARY_PASSWORD}"', "k3vQ8wZr#T1xN_b7Yh2mLd9s"),
        "nut-files UU_PASSWORD_CUT", "ends at its #",
    ),
    "an unknown driver": (
        lambda site: site.change("ups.conf", "usbhid-ups", "usbhidups2"),
        "nut-files UC_UNKNOWN_DRIVER", "perhaps meant as usbhid-ups",
    ),
    "a wrong password on one client": (
        lambda site: site.upsd.logged_in.remove(CLIENT),
        "all-logged-in", f"missing: {CLIENT}",
    ),
    OF_A_CLIENT: (
        lambda site: site.put("ups.conf", primary()["ups.conf"]),
        "no-driver-section", "ups.conf has ups1",
    ),
    "a stray kill-power flag": (
        lambda site: site.flag.touch(),
        "no-kill-power-flag", "killpower: there",
    ),
    "`offdelay` not below `ondelay`": (
        lambda site: site.change("ups.conf", "ondelay = 120", "ondelay = 60"),
        "nut-files UC_ONDELAY_LE_OFFDELAY", "may come on before it has gone off",
    ),
    "TLS with another authority": (
        lambda site: setattr(site, "trusts", "wrong"),
        "tls", "CERTIFICATE_VERIFY_FAILED",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SEEDED)
def test_each_is_refused_with_its_sentence_and_passes_when_it_is_right_again(
    site: Site, name: str
) -> None:
    seed, identity, words = SEEDED[name]
    site.client = name == OF_A_CLIENT
    site.write()
    assert site.refused() == {}

    seed(site)
    found = site.refused()
    assert identity in found
    assert words in found[identity]

    site.write()
    assert site.refused() == {}


def test_a_client_s_wrong_password_is_found_in_the_files_of_both(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anybody logs in, and on any machine that has a copy of both."""
    client = site.folder / "client"
    client.mkdir()
    wrong = secondary()["upsmon.conf"].replace(SECONDARY_PASSWORD, "u6Jf0pRz_W4cGq8Xa-E1tBn6")
    site.put("upsd.conf", primary()["upsd.conf"])  # heard at the address that the client names
    for text, code in (wrong, 4), (secondary()["upsmon.conf"], 0):
        (client / "upsmon.conf").write_text(text)

        assert lint([str(client), "--server", str(site.nut)]) == code
        said = capsys.readouterr().out
        assert ("(UM_WRONG_PASSWORD)" in said) == (code == 4)


def test_the_page_lists_the_same() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    named = [line.split(" | ")[0].removeprefix("| ") for line in rows]
    ids = {name: identity.removeprefix("nut-files ") for name, (_, identity, _) in SEEDED.items()}

    assert len(SEEDED) == 12
    assert [name for name in SEEDED if name not in named] == []
    assert [
        name for name, line in zip(named, rows, strict=True)
        if name in ids and f"`{ids[name]}`" not in line
    ] == []  # fmt: skip
