"""Parameters of requests: what each may be, and the words of PVE for what it may not be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .formats import FORMATS, FormatError
from .refusal import MISSING, UNKNOWN, bad

if TYPE_CHECKING:
    from collections.abc import Mapping

INTEGER = re.compile(r"[+-]?\d+")
INDEXED = re.compile(r"^(net|virtio|scsi|sata|ide|serial|unused)(\d+)$")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter, in the terms of PVE's own schema."""

    type: str = "string"
    optional: bool = True
    enum: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    pattern: str = ""
    min_length: int | None = None
    max_length: int | None = None
    format: str = ""
    requires: str = ""
    count: int = 1


Parameters = dict[str, Parameter]


def text(
    form: str = "",
    *,
    required: bool = False,
    pattern: str = "",
    min_length: int | None = None,
    max_length: int | None = None,
    count: int = 1,
) -> Parameter:
    """Return a string parameter; `form` is the name of a format, `count` that of `name[n]`."""
    return Parameter(
        optional=not required,
        format=form,
        pattern=pattern,
        min_length=min_length,
        max_length=max_length,
        count=count,
    )


def number(minimum: int | None = None) -> Parameter:
    """Return an integer parameter."""
    return Parameter("integer", minimum=minimum)


def flag(requires: str = "") -> Parameter:
    """Return a boolean parameter."""
    return Parameter("boolean", requires=requires)


def one_of(*values: str, required: bool = False) -> Parameter:
    """Return a string parameter with a fixed set of values."""
    return Parameter("string", not required, enum=values)


def specification(table: Parameters, name: str) -> Parameter | None:
    """Return the specification of a parameter, `net0` being one of `net[n]`."""
    if name in table:
        return None if table[name].count > 1 else table[name]
    found = INDEXED.match(name)
    indexed = table.get(f"{found[1]}[n]") if found else None
    if found and indexed and int(found[2]) < indexed.count and str(int(found[2])) == found[2]:
        return indexed
    return None


def verify(table: Parameters, given: Mapping[str, object]) -> dict[str, Any]:
    """Return the parameters with their types; raise the refusal that names every wrong one."""
    errors: dict[str, str] = {}
    values: dict[str, Any] = {}
    for name, raw in given.items():
        parameter = specification(table, name)
        if parameter is None:
            errors[name] = UNKNOWN
            continue
        value, wrong = _value(parameter, name, raw)
        if wrong:
            errors[name] = wrong
        values[name] = value
        if parameter.requires and parameter.requires not in given:
            errors[parameter.requires] = f"missing property required by '{name}'"
    for name, parameter in table.items():
        if not parameter.optional and name not in given:
            errors[name] = MISSING
    if errors:
        raise bad(errors)
    return values


def _value(parameter: Parameter, name: str, raw: object) -> tuple[object, str]:
    if isinstance(raw, list):
        if not parameter.format.endswith("-list"):
            return raw, f"type check ('{parameter.type}') failed - got ARRAY"
        raw = ",".join(map(str, raw))
    if isinstance(raw, bool):
        raw = int(raw)
    written = str(raw)
    if parameter.type == "boolean":
        good = written in {"0", "1"}
        return (int(written) if good else raw), "" if good else _mistyped(parameter, written)
    if parameter.type == "integer":
        if not INTEGER.fullmatch(written):
            return raw, _mistyped(parameter, written)
        return int(written), _format(parameter, name, written) or _range(parameter, int(written))
    return written, _string(parameter, name, written)


def _mistyped(parameter: Parameter, written: str) -> str:
    return f"type check ('{parameter.type}') failed - got '{written}'"


def _range(parameter: Parameter, value: int) -> str:
    if parameter.minimum is not None and value < parameter.minimum:
        return f"value must have a minimum value of {parameter.minimum}"
    if parameter.maximum is not None and value > parameter.maximum:
        return f"value must have a maximum value of {parameter.maximum}"
    return ""


def _string(parameter: Parameter, name: str, written: str) -> str:
    if parameter.min_length is not None and len(written) < parameter.min_length:
        return f"value must be at least {parameter.min_length} characters long"
    if parameter.max_length is not None and len(written) > parameter.max_length:
        return f"value may only be {parameter.max_length} characters long"
    if parameter.enum and written not in parameter.enum:
        listed = ", ".join(parameter.enum)
        return f"value '{written}' does not have a value in the enumeration '{listed}'"
    if parameter.pattern and not re.fullmatch(parameter.pattern, written):
        return "value does not match the regex pattern"
    return _format(parameter, name, written)


def _format(parameter: Parameter, name: str, written: str) -> str:
    if not parameter.format:
        return ""
    try:
        FORMATS[parameter.format](name, written)
    except FormatError as error:
        return f"invalid format - {error}\n"
    return ""
