"""The town file's reference: a page for people and a JSON Schema for editors, from the model.

`python -m releve.town.reference` writes both; a test fails when they are stale.
"""

from __future__ import annotations

import json
import types
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, WithJsonSchema
from pydantic_core import PydanticUndefined

import releve
from releve.town.model import Town

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

FOLDER = Path(releve.__file__).parents[2] / "docs" / "reference"
PAGE, SCHEMA = "town-file.md", "town.schema.json"
HEAD = """\
# The town file

Written by `python -m releve.town.reference` from the model; do not edit.

`inventory/NAME/town.yml` says what a town is. `releve check -i inventory/NAME` reads it and says
what is wrong, each fault with its line. A key that is not listed here is refused. Names of things
begin with a letter and hold small letters, digits and hyphens.

An editor that knows YAML schemas helps while you type: begin the file with
`# yaml-language-server: $schema=../../docs/reference/town.schema.json`.
"""


def schema() -> str:
    """Return the JSON Schema of a town file, for editors."""
    content = Town.model_json_schema()
    for part in (content, *content.get("$defs", {}).values()):
        for value in part.get("properties", {}).values():
            if "patternProperties" in value:
                value["additionalProperties"] = False
    content["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    content["title"] = "Town file of releve"
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def page() -> str:
    """Return the reference page in Markdown: the whole file, then each section as a table."""
    lines = [HEAD, "## The whole file", "", *_table(Town)]
    for model, paths in _sections().items():
        lines += ["", f"## {', '.join(f'`{path}`' for path in paths)}", ""]
        lines += [" ".join((model.__doc__ or "").split()), "", *_table(model)]
    return "\n".join(lines) + "\n"


def _sections() -> dict[type[BaseModel], list[str]]:
    """Return the models below Town with the places where each stands, in the file's order."""
    found: dict[type[BaseModel], list[str]] = {}

    def visit(model: type[BaseModel], where: str) -> None:
        for name, info in model.model_fields.items():
            inner, mark = _inner(info.annotation)
            if inner is not None:
                path = f"{where}{name}{mark}"
                found.setdefault(inner, []).append(path)
                visit(inner, f"{path}.")

    visit(Town, "")
    return found


def _inner(annotation: Any) -> tuple[type[BaseModel] | None, str]:  # noqa: ANN401  # any annotation
    """Return the model inside an annotation and how its place is written after the key."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    marks = {dict: ".NAME", tuple: "[]"}
    for part in get_args(annotation):
        model, mark = _inner(part)
        if model is not None:
            return model, marks.get(get_origin(annotation), "") + mark
    return None, ""


def _table(model: type[BaseModel]) -> list[str]:
    rows = ["| key | value | default | what |", "|---|---|---|---|"]
    for name, info in model.model_fields.items():
        what = info.description or ""
        rows.append(f"| `{name}` | {_type(info)} | {_default(info)} | {what} |")
    return rows


def _default(info: FieldInfo) -> str:
    if info.default is PydanticUndefined:
        return "required"
    if info.default is None or info.default in ({}, ()) or isinstance(info.default, BaseModel):
        return "nothing"
    return f"`{str(info.default).lower() if isinstance(info.default, bool) else info.default}`"


NAMES = {
    "str": "text",
    "int": "whole number",
    "bool": "`true` or `false`",
    "Path": "path",
    "IPv4Address": "IPv4 address",
    "IPv4Network": "IPv4 network",
    "UUID": "UUID",
    "date": "date, such as 2026-05-31",
}


def _type(info: FieldInfo) -> str:
    own = [one.json_schema for one in info.metadata if isinstance(one, WithJsonSchema)]
    shown = _either(own[0]) if own and own[0] else _name(info.annotation)
    limits = [
        f"{word} {getattr(one, attribute):,}".replace(",", " ")
        for one in info.metadata
        for attribute, word in (("ge", "at least"), ("gt", "more than"), ("le", "at most"))
        if getattr(one, attribute, None) is not None
    ]
    return ", ".join([shown, *limits])


def _either(schema: dict[str, Any]) -> str:
    """Say which kinds of value a schema written by hand takes."""
    return " or ".join({"string": "text"}.get(one["type"], one["type"]) for one in schema["anyOf"])


def _name(annotation: Any) -> str:  # noqa: ANN401  # any annotation
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _name(args[0])
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in args)
    if origin in {dict, tuple}:
        return f"by name: {_name(args[1])}" if origin is dict else f"list of {_name(args[0])}"
    if origin in {Union, types.UnionType}:
        return _name(next(part for part in args if part is not type(None)))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "keys of its own"
    return NAMES.get(getattr(annotation, "__name__", ""), str(annotation))


def write(folder: Path) -> list[Path]:
    """Write the page and the schema into a folder and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {folder / PAGE: page(), folder / SCHEMA: schema()}
    for file, text in files.items():
        file.write_text(text, encoding="utf-8")
    return list(files)


if __name__ == "__main__":
    write(FOLDER)
