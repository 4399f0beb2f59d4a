"""A frozen plan: one JSON file whose SHA-256 stands in it, and what differs from another one."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from releve.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FOLDER = Path("build/migrate/plan")
SCHEMA = 2
SEAL = "sha256"
NOTABLE = 1.25  # a forecast that grows or shrinks by less is noise
NOTABLE_SECONDS = 5


def canonical(content: Mapping[str, Any]) -> bytes:
    """Return the bytes that the hash is made of: all but the hash, keys sorted, no blank."""
    rest = {key: value for key, value in content.items() if key != SEAL}
    return json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def seal(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content with its hash."""
    return {**content, SEAL: hashlib.sha256(canonical(content)).hexdigest()}


def write(content: Mapping[str, Any], folder: Path = FOLDER) -> Path:
    """Write a sealed plan whole or not at all, and return its file."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = str(content["made"]).replace("-", "").replace(":", "").partition(".")[0]
    file = folder / f"plan-{stamp}-{content[SEAL][:8]}.json"
    part = file.with_suffix(".json.part")
    with part.open("w", encoding="utf-8") as stream:
        json.dump(content, stream, indent=1, ensure_ascii=False, sort_keys=True)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(file)
    return file


def load(file: Path) -> dict[str, Any]:
    """Return a plan; raises InputError when it is none, or was changed after it was frozen."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"{file}: cannot be read: {error.strerror}; make a plan: releve migrate plan"
        raise InputError(message) from None
    except ValueError as error:
        message = f"{file}: this is no plan: {error}"
        raise InputError(message) from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        message = f"{file}: this is no plan of this version; make it anew: releve migrate plan"
        raise InputError(message)
    if content.get(SEAL) != hashlib.sha256(canonical(content)).hexdigest():
        message = f"{file}: it was changed after it was frozen; make it anew: releve migrate plan"
        raise InputError(message)
    return content


def newest(folder: Path = FOLDER) -> Path | None:
    """Return the last plan that was frozen."""
    return max(folder.glob("plan-*.json"), key=lambda file: file.name, default=None)


def flat(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401  # JSON
    """Yield each leaf of a JSON value with its place, as `disks.vda.size`."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from flat(inner, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from flat(inner, f"{where}[{number}]")
    else:
        yield where, value


def changes(before: Any, after: Any) -> list[str]:  # noqa: ANN401  # JSON
    """Return `place: old -> new` for each leaf that is not the same."""
    old, new = dict(flat(before)), dict(flat(after))
    return [
        f"{place}: {_said(old, place)} -> {_said(new, place)}"
        for place in dict.fromkeys([*old, *new])
        if old.get(place, ...) != new.get(place, ...)
    ]


def _said(leaves: Mapping[str, Any], place: str) -> str:
    return str(leaves[place]) if place in leaves else "nothing"


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return what a person wants to know of two plans: one line for each change."""
    lines = []
    if before["waves"] != after["waves"]:
        lines.append(f"waves: {_waves(before)} -> {_waves(after)}")
    lines += [f"terms: {line}" for line in changes(before["terms"], after["terms"])]
    old, new = before["guests"], after["guests"]
    lines += [f"{name}: not in the plan any more" for name in old if name not in new]
    lines += [f"{name}: new in the plan" for name in new if name not in old]
    for name in new:
        if name in old:
            lines += [f"{name}: {line}" for line in _guest_changes(old[name], new[name])]
    return lines


def _waves(plan: Mapping[str, Any]) -> str:
    return " | ".join(", ".join(wave) for wave in plan["waves"])


def _guest_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    yield from changes(before["matters"], after["matters"])
    old = {check["id"]: check for check in before["checks"]}
    for check in after["checks"]:
        was = old.get(check["id"], {"verdict": "not made"})
        if was["verdict"] != check["verdict"]:
            yield f"{check['id']}: {was['verdict']} -> {check['verdict']} ({check['value']})"
        if was.get("waived", "") != check.get("waived", ""):
            yield f"{check['id']}: waived: {check.get('waived', '') or 'no more'}"
    yield from changes(before["rungs"], after["rungs"])
    then, now = before["forecast"] or {}, after["forecast"] or {}
    for key in ("seed_seconds", "downtime_seconds"):
        one, two = then.get(key, 0), now.get(key, 0)
        low, high = sorted((one, two))
        if high - low > NOTABLE_SECONDS and high > NOTABLE * low:
            yield f"{key}: {one} -> {two}"
