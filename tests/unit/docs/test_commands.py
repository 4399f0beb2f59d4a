"""Every command that a page shows exists, with the options that it shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from releve.cli import cli
from releve.cli.migrate import command as migrate

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).parents[3]
PAGES = [*sorted(CHECKOUT.glob("docs/**/*.md")), CHECKOUT / "README.md", CHECKOUT / "CHANGELOG.md"]
FENCE = re.compile(r"^```\w*\n(.*?)^```", re.M | re.S)
INLINE = re.compile(r"(?<!`)`([^`]+)`(?!`)", re.S)
PROGRAM = re.compile(r"(?:^|[\s|;(])(?:\.venv/bin/)?releve\s+([^|;&)]+)")
FILE = re.compile(r"\b(?:pyinfra_deploys|playbooks|scripts|roles)/[\w./-]+\.(?:py|yml|sh)\b")
STOP = {"|", ">", "&&", ";"}


def shown(page: str) -> Iterator[str]:
    """Yield what follows `releve` in the blocks and code spans of a page."""
    for block in FENCE.findall(page):
        for line in block.replace("\\\n", " ").splitlines():
            yield from PROGRAM.findall(" " + line.removeprefix("$ "))
    for span in INLINE.findall(FENCE.sub("", page)):
        words = " ".join(span.split())
        yield from PROGRAM.findall(" " + words)
        if words.split()[0] in migrate.commands and " --" in words:
            yield f"migrate {words}"


def words_of(text: str) -> list[str]:
    try:
        words = shlex.split(text, comments=True)
    except ValueError:  # a quote that the pattern cut
        words = text.split("#", maxsplit=1)[0].split()
    return words


def wrong(text: str) -> str:
    """Say what of a command line is not there, "" when all is."""
    command: click.Command = cli
    verb = "releve"
    context = click.Context(cli)
    known = {option for param in cli.params for option in param.opts}
    words = iter(words_of(text))
    for word in words:
        if word in STOP:
            break
        if word.startswith("-") and word != "-":
            name = word.partition("=")[0]
            if name not in known | {"-h", "--help"}:
                return f"{verb} has no {name}"
            param = next((p for p in command.params if name in p.opts), None)
            if isinstance(param, click.Option) and not param.is_flag and "=" not in word:
                next(words, None)
        elif isinstance(command, click.Group):
            if not re.fullmatch(r"[a-z][a-z-]*", word):
                break  # a placeholder, or several verbs at once
            found = command.get_command(context, word)
            if found is None:
                return f"{verb} has no {word}"
            command, verb = found, word
            known |= {option for param in command.params for option in param.opts}
    return ""


def test_the_pages_show_commands() -> None:
    seen = {text.split()[0] for file in PAGES for text in shown(file.read_text())}

    assert {"migrate", "survey", "check", "copy", "drill", "report", "-i"} <= seen


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(CHECKOUT)))
def test_every_command_on_a_page_is_there(file: Path) -> None:
    faults = [f"releve {text}: {why}" for text in shown(file.read_text()) if (why := wrong(text))]

    assert faults == []


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(CHECKOUT)))
def test_every_file_that_a_page_runs_is_there(file: Path) -> None:
    missing = [name for name in FILE.findall(file.read_text()) if not (CHECKOUT / name).exists()]

    assert missing == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("migrate plan compta --waive 'a=b'", ""),
        ("-i inventory/lab migrate run --all --bandwith 5", "run has no --bandwith"),
        ("migrate repair compta", "migrate has no repair"),
        ("inspect -i x", "releve has no inspect"),
        ("migrate plan|run|status", ""),
        ("migrate run compta  # or --all", ""),
    ],
)
def test_a_command_that_is_not_there_is_noticed(text: str, why: str) -> None:
    assert wrong(text) == why


def test_each_verb_of_a_migration_is_explained() -> None:
    pages = "".join(file.read_text() for file in CHECKOUT.glob("docs/how-to/*.md"))

    for name, command in migrate.commands.items():
        assert re.search(rf"\b{name}\b", pages), name
        for param in command.params:
            assert isinstance(param, click.Argument) or getattr(param, "help", None), param.name
