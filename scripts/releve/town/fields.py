"""What the keys of a town file are made of: names, addresses, times, and the base of sections."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from releve.blocks.schedule import ScheduleError, parse

NAME_PATTERN = r"^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$"
MAC_PATTERN = r"^([0-9a-f]{2}:){5}[0-9a-f]{2}$"
BRIDGE_PATTERN = r"^[a-z][a-z0-9]{0,14}$"
DRIVER_PATTERN = r"^[a-z0-9_-]+$"
PORT_PATTERN = r'^[^"\\\s]+$'
OPTION_PATTERN = r'^[^"\\\n]*$'  # what NUT's parser would take apart inside of quotes

IN_WORDS = {  # what a text has to look like, for those who read no patterns
    NAME_PATTERN: "a name has small letters, digits and hyphens, 32 at most, and a letter first",
    MAC_PATTERN: "write six pairs of small hexadecimal digits, as 02:00:5e:00:53:11",
    BRIDGE_PATTERN: "a bridge has small letters and digits, 15 at most, and a letter first",
    DRIVER_PATTERN: "write it as `releve power scan` gives it, such as usbhid-ups",
    PORT_PATTERN: "write auto, a line such as /dev/ttyS0, or an address, without blanks or quotes",
    OPTION_PATTERN: 'NUT takes no " and no backslash in a setting',
}


def _unicast(mac: str) -> str:
    if int(mac[:2], 16) & 1:
        message = "a network card's address is never a multicast one (first octet must be even)"
        raise ValueError(message)
    return mac


def _bandwidth(value: Any) -> str:  # noqa: ANN401  # YAML
    """Return a limit as its text; a number is one, too."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        message = "is no bandwidth; write MiB/s as a number, or windows as `mo-fr 08:00-18:00 20`"
        raise ValueError(message)  # pydantic takes no TypeError
    text = f"{value:.10g}" if isinstance(value, float) else str(value)
    try:
        parse(text)
    except ScheduleError as error:
        raise ValueError(str(error)) from None
    return text


Bandwidth = Annotated[
    str,
    BeforeValidator(_bandwidth),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}]}),
]
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Mac = Annotated[str, Field(pattern=MAC_PATTERN), AfterValidator(_unicast)]
Seconds = Annotated[int, Field(gt=0, le=86_400)]
Port = Annotated[int, Field(gt=0, lt=65_536)]


class Section(BaseModel):
    """Base of all sections: no unknown key, no change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)
