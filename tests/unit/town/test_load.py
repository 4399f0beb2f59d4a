"""A wrong town file is refused with the line, what is wrong, and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from releve.errors import InputError
from releve.town import load_town

LAB = Path(__file__).parents[3] / "inventory" / "lab" / "town.yml"
END = "  language: fr\n"
LIMIT = END + "migrate: {bandwidth: "


def town_with(tmp_path: Path, old: str, new: str) -> Path:
    """Write the lab's town file with one change, and return its path."""
    text = LAB.read_text()
    assert old in text, f"the lab's town file no longer says {old!r}"
    file = tmp_path / "town.yml"
    file.write_text(text.replace(old, new, 1))
    return file


def test_the_embedded_town_is_right() -> None:
    town = load_town(LAB.parent)

    assert list(town.hosts) == ["old", "pve1", "nas", "vault"]
    assert town.guests["dossiers"].needs == ("compta",)


RAW = "        format: raw"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("kind: bay", "kind: bya", 'hosts.nas.kind: "bya" is not one of old, node, bay, vault'),
        ("kind: bay", "kind: bya", 'did you mean "bay"?'),
        ("stop_seconds: 10", "stop_secnds: 10", 'unknown key; did you mean "stop_seconds"?'),
        ("target: pve1", "target: pve2", 'hosts has no "pve2"; did you mean "pve1"?'),
        ("198.51.100.21", "198.51.101.21", "198.51.101.21 is outside of office"),
        ("198.51.100.21", "198.51.100.12", "198.51.100.12 is taken by hosts.nas"),
        ("vmid: 102", "vmid: 101", "guests.dossiers.vmid: 101 is taken by another guest"),
        ("00:91:00:02", "00:91:00:01", "52:54:00:91:00:01 is taken by compta"),
        ("    stop_seconds: 15", "    needs: [dossiers]", "wait for each other"),
        ("    target: pve1", "    target: nas", "is of kind bay, this needs node"),
        ("vmid: 102\n", "vmid: 102\n    vmid: 103\n", "said twice, first on line"),
        ("plugin: releve_town\n", "", "plugin: is missing"),
        ("hosts:\n", "hosts: [\n", "this is not YAML"),
        (END, LIMIT + "-5}\n", "'-5' is no rate"),
        (
            END,
            LIMIT + "yes}\n",
            "migrate.bandwidth: is no bandwidth",
        ),
        (
            END,
            LIMIT + "[20]}\n",
            "write MiB/s as a number, or windows",
        ),
        (END, LIMIT + "lu-ve 20}\n", "'lu-ve' is no day"),
        (END, LIMIT + "pause}\n", "a pause that never ends"),
        (RAW, RAW.replace("raw", "raw\n        file: a.raw"), "a.raw does not begin with /"),
        (RAW, f"{RAW}\n        frozen: {{file: /b}}", "needs the `file` that is read after"),
        (RAW, f"{RAW}\n        file: /b\n        frozen: {{file: /b}}", "it is `file` itself"),
        (RAW, f"{RAW}\n        file: /b\n        frozen: {{file: b}}", "b does not begin with /"),
        ("vmid: 102", "vmid: many", "guests.dossiers.vmid: must be a whole number"),
        ("  nas:\n", "  NAS:\n", '"NAS": a name has small letters, digits and hyphens'),
        ("bridge: br0", "bridge: br-0", '"br-0": a bridge has small letters and digits'),
        ("52:54:00:91:01:02", "52-54-00-91-01-02", "write six pairs of small hexadecimal digits"),
        ("mode: stock", "battery_installed: 2031-13-01", '"2031-13-01" cannot be read: month must'),
        # What YAML makes of a word or a number that somebody has written.
        ("vmid: 102", "vmid: yes", "guests.dossiers.vmid: must be a whole number (found True)"),
        (
            "stop_seconds: 15",
            "stop_seconds: on",
            "stop_seconds: must be a whole number (found True",
        ),
        ("stop_seconds: 15", "stop_seconds: 15.5", "must be a whole number (found 15.5)"),
        ("mode: stock", "supplies: {ups1: yes}", "unknown key"),
        (
            "  nas:\n",
            "  nas:\n    supplies: {ups1: yes}\n",
            "supplies.ups1: must be a whole number",
        ),
        (
            "  nas:\n",
            "  no:\n",
            "hosts: a name that is no text to YAML (False): put it into quotes",
        ),
        ("  nas:\n", "  7:\n", "hosts: a name that is no text to YAML (7): put it into quotes"),
        ("domain: ", "domain: no #", "town.domain: must be text: put it into quotes (found False)"),
        ("mode: stock", "battery_installed: 0", "write the day as 2026-03-01 (found 0)"),
        ("mode: stock", "battery_installed: 20240301", "write the day as 2026-03-01 (found 2024"),
        ("mode: stock", "battery_installed: 01/03/2024", "write the day as 2026-03-01 (found '01/"),
        ("mode: stock", "battery_installed: 2024-03-01 10:00:00", "write the day as 2026-03-01"),
        ("mode: stock", "battery_installed: 1970-01-01", "write the day as 2026-03-01"),
        ("mode: stock", "options: {pollonly: no}", "options.pollonly: is no setting"),
        ("mode: stock", "options: {pollonly: }", "options.pollonly: is no setting"),
        ("mode: stock", "options: {desc: [a]}", "options.desc: is no setting"),
        ("mode: stock", "options: {desc: 'a # b'}", 'options.desc: NUT takes no ", no # and no b'),
        ("mode: stock", "clients: &a [*a]", "ups.ups1.clients.0: stands in itself"),
        (END, f"{END}x: &a {{y: *a}}\n", "x.y: stands in itself"),
    ],
)
def test_a_fault_is_named_with_its_remedy(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    with pytest.raises(InputError) as caught:
        load_town(town_with(tmp_path, old, new))

    assert sentence in str(caught.value)


def test_a_file_that_unfolds_without_end_is_refused_at_once(tmp_path: Path) -> None:
    nine = [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]" for n in range(1, 10)]
    file = tmp_path / "town.yml"
    file.write_text("\n".join(["x0: &x0 [a]", *nine]))

    with pytest.raises(InputError, match=r"^town\.yml:\d+: .*: holds more than 100000 values"):
        load_town(file)


def test_the_line_is_the_one_to_mend(tmp_path: Path) -> None:
    file = town_with(tmp_path, "kind: bay", "kind: bya")
    line = file.read_text().splitlines().index("    kind: bya") + 1

    with pytest.raises(InputError, match=rf"^town\.yml:{line}: hosts\.nas\.kind"):
        load_town(file)


def test_the_line_of_a_date_that_cannot_be_is_named(tmp_path: Path) -> None:
    at = LAB.read_text().splitlines().index("    mode: stock") + 1
    with pytest.raises(InputError, match=rf"^town\.yml:{at}: this is not YAML"):
        load_town(town_with(tmp_path, "mode: stock", "battery_installed: 2026-02-30"))


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    file = town_with(tmp_path, "kind: bay", "kind: bya")
    file.write_text(file.read_text().replace("vmid: 102", "vmid: 7"))

    with pytest.raises(InputError) as caught:
        load_town(file)

    assert len(str(caught.value).splitlines()) == 2


def test_a_missing_folder_says_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file; -i wants a folder"):
        load_town(tmp_path / "nowhere")
