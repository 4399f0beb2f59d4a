"""Property strings: `vmdata:101/vm-101-disk-0.raw,discard=on`, as PVE reads and writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .refusal import UNKNOWN

MAC = re.compile(r"(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}")
CHOICES = re.compile(r"[\w-]+(\|[\w-]+)+")
VOLUME = re.compile(r"none|[a-zA-Z][a-zA-Z0-9._-]*:\S+")


class FormatError(ValueError):
    """A value does not have the form that its parameter asks for."""


@dataclass(frozen=True, slots=True)
class PropertyString:
    """Keys and what they may hold; `default` is the key of a first word without one.

    `alias` is for network cards, where `virtio=MAC` stands for `model=virtio,macaddr=MAC`.
    """

    default: str
    keys: dict[str, str]
    alias: tuple[str, str] | None = None

    def parse(self, written: str) -> dict[str, str]:
        """Return the keys and values, `_unknown` ones included; aliases are resolved."""
        found: dict[str, str] = {}
        for number, word in enumerate(written.split(",")):
            key, equals, value = word.partition("=")
            if not equals and number == 0 and self.default:
                found[self.default] = word
            elif self.alias and equals and key in self.keys[self.alias[0]].split("|"):
                found |= {self.alias[0]: key, self.alias[1]: value}
            else:
                found[key] = value
        if "volume" in found and self.default == "file":
            found["file"] = found.pop("volume")
        return found

    def verify(self, name: str, written: str) -> None:
        """Raise FormatError that names each wrong key, in PVE's words."""
        wrong = []
        for key, value in self.parse(written).items():
            said = UNKNOWN if key not in self.keys else _wrong(self.keys[key], value)
            if said:
                wrong.append(f"{name}.{key}: {said}\n")
        if wrong:
            message = "format error\n" + "".join(wrong).removesuffix("\n")
            raise FormatError(message)

    def write(self, values: dict[str, str]) -> str:
        """Return the string: the default key first and bare, the others by name."""
        rest = dict(values)
        words = []
        if self.alias and all(key in rest for key in self.alias):
            words.append(f"{rest.pop(self.alias[0])}={rest.pop(self.alias[1])}")
        elif self.default in rest:
            words.append(rest.pop(self.default))
        return ",".join(words + [f"{key}={value}" for key, value in sorted(rest.items())])


def _wrong(form: str, value: str) -> str:
    """Return what is wrong with one value, or nothing."""
    kind, _, least = form.partition(" ")
    if kind in {"boolean", "integer"}:
        whole = value in {"0", "1"} if kind == "boolean" else re.fullmatch(r"-?\d+", value)
        if not whole:
            return f"type check ('{kind}') failed - got '{value}'"
        small = kind == "integer" and int(value) < int(least)
        return f"value must have a minimum value of {least}" if small else ""
    if kind in {"volume", "source"}:
        good = value.startswith("/") or VOLUME.fullmatch(value)
        return "" if good else f"invalid format - unable to parse volume ID '{value}'\n"
    if kind == "mac":
        return "" if MAC.fullmatch(value) else "invalid format - value is not a MAC address"
    return _not_in(form, value)


def _not_in(form: str, value: str) -> str:
    """Return what is wrong with a value that is one of several, or has a pattern."""
    if CHOICES.fullmatch(form):
        listed = ", ".join(form.split("|"))
        said = f"value '{value}' does not have a value in the enumeration '{listed}'"
        return "" if value in form.split("|") else said
    return "" if re.fullmatch(form, value) else "value does not match the regex pattern"
