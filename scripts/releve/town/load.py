"""Read a town file: YAML, then types, then what follows from several entries together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from releve.errors import InputError
from releve.town.check import cross_check
from releve.town.fields import IN_WORDS
from releve.town.hint import hint
from releve.town.model import Town

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic_core import ErrorDetails

Location = tuple[str | int, ...]
IN_OUR_WORDS = {  # of pydantic's kinds of faults
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "string_type": "must be text: put it into quotes",
    "tuple_type": "must be a list, such as [one, another]",
}
MOST = 100_000  # values in a file: a few lines of aliases of aliases unfold to any number
VAULTED = "(encrypted by ansible-vault)"


class _Loader(yaml.CSafeLoader):
    """YAML, and the one tag of Ansible's own files: a value that is encrypted by itself."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: ANN401  # YAML's own
        """Name the line of a value that cannot be, as a date in a thirteenth month."""
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            problem = f'"{node.value}" cannot be read: {error}'
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error


_Loader.add_constructor("!vault", lambda _loader, _node: VAULTED)


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed YAML file that still knows the line of every key."""

    file: Path
    data: Any
    lines: dict[Location, int]

    def fault(self, where: Location, text: str) -> str:
        """Return `file:line: key: text`; a key that is not there takes its parent's line."""
        near = where
        while near not in self.lines and near:
            near = near[:-1]
        key = ".".join(str(part) for part in where)
        line = self.lines.get(near, 1)
        return (
            f"{self.file.name}:{line}: {key}: {text}" if key else f"{self.file.name}:{line}: {text}"
        )


def load_town(path: Path) -> Town:
    """Return the town of a folder or of its town.yml.

    Raises InputError with one line per fault, each `town.yml:LINE: KEY: what is wrong; hint`.
    """
    file = (path / "town.yml" if path.is_dir() else path).resolve()
    source = read_source(file)
    try:
        town = Town.model_validate(source.data)
    except ValidationError as error:
        faults = [source.fault(*_explain(detail)) for detail in error.errors()]
        raise InputError("\n".join(dict.fromkeys(faults))) from None
    town._file = file  # private only to keep it out of the schema
    faults = [source.fault(where, text) for where, text in cross_check(town)]
    if faults:
        raise InputError("\n".join(faults))
    return town


def read_source(file: Path) -> Source:
    """Return the content of a YAML file with its lines; refuse what YAML would guess at."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        message = f"{file}: no such file; -i wants a folder with a town.yml, such as inventory/lab"
        raise InputError(message) from None
    except (OSError, UnicodeDecodeError) as error:
        message = f"{file}: cannot be read as UTF-8 text: {error}"
        raise InputError(message) from None
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            lines: dict[Location, int] = {}
            if node is not None:
                _lines_of(node, (), lines, file.name)
            data = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        message = f"{file.name}:{line}: this is not YAML: {error.problem}"
        raise InputError(message) from None
    except RecursionError:
        message = f"{file.name}:1: is nested too deeply to be read"
        raise InputError(message) from None
    except yaml.YAMLError as error:
        message = f"{file.name}:1: this is not YAML: {error}".splitlines()[0]
        raise InputError(message) from None
    return Source(file, data, lines)


def _lines_of(
    node: yaml.Node,
    where: Location,
    lines: dict[Location, int],
    name: str,
    above: tuple[yaml.Node, ...] = (),
) -> None:
    lines.setdefault(where, node.start_mark.line + 1)
    if node in above or len(lines) > MOST:
        wrong = "stands in itself" if node in above else f"holds more than {MOST} values"
        message = f"{name}:{lines[where]}: {'.'.join(map(str, where))}: {wrong}"
        raise InputError(message)
    above = (*above, node)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            at = (*where, str(key.value))
            if at in lines:
                first = lines[at]
                message = (
                    f"{name}:{key.start_mark.line + 1}: {'.'.join(map(str, at))}: said twice, "
                    f"first on line {first}; keep one"
                )
                raise InputError(message)
            lines[at] = key.start_mark.line + 1
            _lines_of(value, at, lines, name, above)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            _lines_of(value, (*where, number), lines, name, above)


def _explain(detail: ErrorDetails) -> tuple[Location, str]:
    """Turn pydantic's finding into a sentence that says what would be right."""
    where: Location = tuple(part for part in detail["loc"] if part != "[key]")
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "invalid_key" or (kind == "string_type" and "[key]" in detail["loc"]):
        found = detail["input"]
        return where[:-1], f"a name that is no text to YAML ({found}): put it into quotes"
    if kind in {"extra_forbidden", "missing"}:
        unknown = kind == "extra_forbidden"
        known = hint(str(where[-1]), _keys_at(where[:-1])) if unknown else ""
        return where, f"unknown key{known}" if unknown else "is missing"
    if kind == "literal_error":
        expected = str(context["expected"])
        choices = [choice.strip("'") for choice in expected.replace(" or ", ", ").split(", ")]
        found = detail["input"]
        return where, f'"{found}" is not one of {", ".join(choices)}{hint(str(found), choices)}'
    if kind == "string_pattern_mismatch":
        pattern = context["pattern"]
        wrong = f": {IN_WORDS[pattern]}" if pattern in IN_WORDS else f" does not match {pattern}"
        return where, f'"{detail["input"]}"{wrong}'
    if kind in {"model_type", "dict_type"}:
        return where, f"must hold keys of its own, not {_kind_of(detail['input'])}"
    message = IN_OUR_WORDS.get(kind, detail["msg"])
    own = message.removeprefix("Value error, ")
    message = own if own != message else f"{message[:1].lower()}{message[1:]}"
    return where, f"{message}{_shown(detail['input'])}"


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return ""
    return f" (found {value})" if isinstance(value, date) else f" (found {value!r})"


def _kind_of(value: object) -> str:
    names = {dict: "keys", list: "a list", str: "text", int: "a number", type(None): "nothing"}
    return names.get(type(value), type(value).__name__)


def _keys_at(where: Location) -> list[str]:
    """Return the keys that the model has at a place."""
    current: Any = Town
    for part in where:
        if isinstance(current, type) and issubclass(current, BaseModel):
            field = current.model_fields.get(str(part))
            current = None if field is None else field.annotation
        else:
            # dict[Name, X], tuple[X, ...]: the member's model is the last argument that is one
            current = next((arg for arg in reversed(get_args(current)) if _model_in(arg)), None)
        current = _model_in(current) or current
    if isinstance(current, type) and issubclass(current, BaseModel):
        return list(current.model_fields)
    return []


def _model_in(annotation: Any) -> Any:  # noqa: ANN401  # annotations have no common type
    """Return the model inside `X | None`, or the annotation when it is one or holds one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    args = get_args(annotation)
    if type(None) in args:
        return next((arg for arg in args if arg is not type(None)), None)
    return annotation if args else None
