"""A token's secret is kept for its owner alone, and never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from releve.errors import InputError
from releve.pve.tokens import MIGRATE, Token, load_token, save_token, token_file
from releve.town import load_town

LAB = Path(__file__).parents[3] / "inventory" / "lab" / "town.yml"


def test_a_secret_comes_back_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    (tmp_path / "town.yml").write_text(LAB.read_text())
    town = load_town(tmp_path)

    file = save_token(tmp_path, "pve1", Token(MIGRATE, "the-secret"))

    assert file.stat().st_mode & 0o777 == 0o600
    assert load_token(town, "pve1", MIGRATE) == Token(MIGRATE, "the-secret")
    assert "the-secret" not in repr(load_token(town, "pve1", MIGRATE))


def test_a_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "town.yml").write_text(LAB.read_text())
    save_token(tmp_path, "pve1", Token(MIGRATE, "the-secret")).chmod(0o644)

    with pytest.raises(InputError, match="others may read this secret"):
        load_token(load_town(tmp_path), "pve1", MIGRATE)


def test_a_missing_secret_says_how_to_get_one(tmp_path: Path) -> None:
    (tmp_path / "town.yml").write_text(LAB.read_text())

    with pytest.raises(InputError, match=r"run playbooks/provision\.yml"):
        load_token(load_town(tmp_path), "pve1", MIGRATE)


@pytest.mark.parametrize("wrong", ["migrate", "a@pve", "../x@pve!t", "a@pve!../../t"])
def test_a_token_cannot_name_another_file(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(InputError, match="is no token"):
        token_file(tmp_path, "pve1", wrong)
