"""Are a role's inputs of the types that its argument specs say, as they are used?

Ansible's own check takes "20" for a number and "a,b" for a list, and hands the text on as it is:
the role then listens on the addresses `1`, `9`, `2` and `.`. Standard library only.
"""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    Spec = Mapping[str, Any]

NEAR = 0.88  # so alike are a word and its misspelling; names of other things are not
_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,), "int": (int,), "float": (int, float), "bool": (bool,), "list": (list,),
    "dict": (dict,),
}  # fmt: skip
_LONGEST = 60  # characters of a wrong value that are shown


def wrong_types(options: Mapping[str, Spec], values: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each value that is not of its type, or not there (None) and needed."""
    for name, value in values.items():
        if name in options:
            yield from _wrong(name, options[name], value)


def misspelt(names: Collection[str], known: Collection[str]) -> Iterator[str]:
    """Yield a sentence for each name that is nearly one of the known ones: nobody would read it."""
    for name in sorted(set(names) - set(known)):
        near = difflib.get_close_matches(name, known, n=1, cutoff=NEAR)
        if near:
            yield f'{name}: there is no such input; did you mean "{near[0]}"?'


def _wrong(where: str, spec: Spec, value: Any) -> Iterator[str]:  # noqa: ANN401  # JSON
    kind = str(spec.get("type", "str"))
    if value is None and (spec.get("required") or spec.get("default") is not None):
        yield f"{where}: has no value"
    if value is None or kind not in _KINDS:
        return
    is_bool = isinstance(value, bool)
    if not isinstance(value, _KINDS[kind]) or (is_bool and kind != "bool"):
        yield f"{where}: {_shown(value)} {_instead(kind, value)}"
    elif "choices" in spec and value not in spec["choices"]:
        choices = ", ".join(map(str, spec["choices"]))
        yield f"{where}: {_shown(value)} is not one of {choices}"
    elif isinstance(value, list):
        inner = {
            "type": spec.get("elements", "raw"),
            "options": spec.get("options", {}),
            "required": True,
        }
        for number, one in enumerate(value):
            yield from _wrong(f"{where}[{name_of(one, number)}]", inner, one)
    elif isinstance(value, dict):
        for key, known in (spec.get("options") or {}).items():
            if key in value:
                yield from _wrong(f"{where}.{key}", known, value[key])
            elif known.get("required"):
                yield f"{where}.{key}: is missing"


def name_of(one: Any, number: int) -> str:  # noqa: ANN401  # JSON
    """Return how a person knows an entry of a list: by its name, else by its place."""
    name = one.get("name", one.get("ups")) if isinstance(one, dict) else None
    return str(name) if isinstance(name, str) else str(number + 1)


def _instead(kind: str, value: Any) -> str:  # noqa: ANN401  # JSON
    text = value if isinstance(value, str) else ""
    if kind == "str":
        return "is no text: put it into quotes"
    if kind in {"int", "float"}:
        number = text.strip().replace(".", "", 1 if kind == "float" else 0)
        if number.isdecimal():
            return f"is text: write {text.strip()}, without quotes"
        return "is no whole number" if kind == "int" else "is no number"
    if kind == "bool":
        return "is neither true nor false (a hosts.ini says True or False)"
    if kind == "list":
        return f"is no list: write {json.dumps([text] if text else ['...'])}"
    return "has no keys of its own"


def _shown(value: Any) -> str:  # noqa: ANN401  # JSON
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
