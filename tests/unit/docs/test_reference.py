"""Reference pages say what the code says, and examples are valid."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from releve.errors import ExitCode
from releve.town import load_town
from releve.town.fields import Section
from releve.town.model import Town
from releve.town.reference import FOLDER, PAGE, SCHEMA, page, schema, write

CHECKOUT = Path(__file__).parents[3]
TOWNS = sorted(CHECKOUT.glob("inventory/*/town.yml"))
MEND = "stale; run: .venv/bin/python -m releve.town.reference"


@pytest.mark.parametrize(("name", "text"), [(PAGE, page()), (SCHEMA, schema())])
def test_the_generated_reference_is_fresh(name: str, text: str) -> None:
    assert (FOLDER / name).read_text() == text, f"docs/reference/{name} is {MEND}"


def test_writing_the_reference_makes_both_files(tmp_path: Path) -> None:
    files = write(tmp_path / "new")

    assert [file.name for file in files] == [PAGE, SCHEMA]
    assert all(file.stat().st_size > 1000 for file in files)


def test_every_key_is_described() -> None:
    models: list[type[Section]] = [Town, *Section.__subclasses__()]
    for model in models:
        for name, info in model.model_fields.items():
            assert info.description, f"{model.__name__}.{name} has no description"


def test_there_is_an_example_beside_the_lab() -> None:
    assert {file.parent.name for file in TOWNS} >= {"lab", "example"}


@pytest.mark.parametrize("file", TOWNS, ids=lambda file: file.parent.name)
def test_each_town_file_is_valid_for_us_and_for_editors(file: Path) -> None:
    load_town(file)
    jsonschema.validate(yaml.safe_load(file.read_text()), yaml.safe_load(schema()))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("hosts", "nas", "kind"), "bya"),
        (("hosts", "nas", "knid"), "bay"),
        (("hosts", "NAS"), {}),
        (("guests", "compta", "vmid"), 7),
    ],
)
def test_the_schema_refuses_what_the_model_refuses(path: tuple[str, ...], value: Any) -> None:
    town = yaml.safe_load((CHECKOUT / "inventory/lab/town.yml").read_text())
    place = town
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(town, yaml.safe_load(schema()))


def test_every_exit_code_is_documented_and_no_other() -> None:
    text = (CHECKOUT / "docs/reference/exit-codes.md").read_text()
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", text, flags=re.M)}

    assert documented == {*map(int, ExitCode), 130}


PAGES = [*sorted(CHECKOUT.glob("docs/**/*.md")), CHECKOUT / "README.md"]


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(CHECKOUT)))
def test_links_lead_somewhere(file: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", file.read_text()):
        if "://" not in target:
            assert (file.parent / target).exists(), f"{file.name}: {target} is not there"
