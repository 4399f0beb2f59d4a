"""What the keys of a town file are made of: names, addresses, times, and the base of sections."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from releve.blocks.schedule import ScheduleError, parse
from releve.power.inputs.primary import FORGOTTEN

NAME_PATTERN = r"^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$"
MAC_PATTERN = r"^([0-9a-f]{2}:){5}[0-9a-f]{2}$"
BRIDGE_PATTERN = r"^[a-z][a-z0-9]{0,14}$"
DRIVER_PATTERN = r"^[a-z0-9_-]+$"
PORT_PATTERN = r'^[^"\\\s]+$'
OPTION_PATTERN = r'^[^"#\\\n]*$'  # what NUT's parser would take apart inside of quotes

IN_WORDS = {  # what a text has to look like, for those who read no patterns
    NAME_PATTERN: "a name has small letters, digits and hyphens, 32 at most, and a letter first",
    MAC_PATTERN: "write six pairs of small hexadecimal digits, as 02:00:5e:00:53:11",
    BRIDGE_PATTERN: "a bridge has small letters and digits, 15 at most, and a letter first",
    DRIVER_PATTERN: "write it as `releve power scan` gives it, such as usbhid-ups",
    PORT_PATTERN: "write auto, a line such as /dev/ttyS0, or an address, without blanks or quotes",
    OPTION_PATTERN: 'NUT takes no ", no # and no backslash in a setting',
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


def _whole(value: Any) -> Any:  # noqa: ANN401  # YAML
    if isinstance(value, bool):  # yes, no, on, off: True is 1 to pydantic
        message = "must be a whole number"
        raise ValueError(message)  # pydantic takes no TypeError
    return value


def _setting(value: Any) -> Any:  # noqa: ANN401  # YAML
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        message = "is no setting; write text or a number, and leave out a flag that is not meant"
        raise ValueError(message)
    if isinstance(value, str) and not re.fullmatch(OPTION_PATTERN, value):
        raise ValueError(IN_WORDS[OPTION_PATTERN])
    return value


def _day(value: Any) -> date:  # noqa: ANN401  # YAML
    try:
        day = date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        day = None
    if type(day) is not date or day <= FORGOTTEN:
        message = "is no day of a battery; write the day as 2026-03-01"
        raise ValueError(message)
    return day


Bandwidth = Annotated[
    str,
    BeforeValidator(_bandwidth),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}]}),
]
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Mac = Annotated[str, Field(pattern=MAC_PATTERN), AfterValidator(_unicast)]
Whole = BeforeValidator(_whole)  # the last one, so that limits stay in the schema
Seconds = Annotated[int, Field(gt=0, le=86_400), Whole]
Port = Annotated[int, Field(gt=0, lt=65_536), Whole]
Setting = Annotated[
    Annotated[str, Field(pattern=OPTION_PATTERN)] | int | float, BeforeValidator(_setting)
]
Day = Annotated[date, BeforeValidator(_day)]


class Section(BaseModel):
    """Base of all sections: no unknown key, no change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth(cls, value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401  # YAML
        field = cls.model_fields[str(info.field_name)]
        kinds = {field.annotation, *get_args(field.annotation)}
        return _whole(value) if int in kinds and bool not in kinds else value
