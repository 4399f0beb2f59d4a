"""What a town file says of its UPSes: whom they feed, and how they can be spoken to."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from releve.town.fields import (
    DRIVER_PATTERN,
    PORT_PATTERN,
    Day,
    Name,
    Seconds,
    Section,
    Setting,
)

OptionName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$")]


class Tier(Section):
    """Hosts that stop before the site does; mode `policy` only."""

    hosts: tuple[Name, ...] = Field(min_length=1, description="Which of the UPS's clients.")
    after_seconds: Seconds | None = Field(
        default=None, description="On battery, after which they stop; none: with the site."
    )
    below_seconds: Seconds | None = Field(
        default=None, description="Of runtime left, below which they stop; none: with the site."
    )


class Ups(Section):
    """One UPS and whom it feeds."""

    host: Name = Field(description="That has its cable: the primary.")
    driver: str = Field(pattern=DRIVER_PATTERN, description="NUT driver.")
    port: str = Field(
        default="auto",
        pattern=PORT_PATTERN,
        description="Where the driver finds it: `auto` for USB alone, else a line or an address.",
    )
    options: dict[OptionName, Setting] = Field(
        default={}, description="More settings of the driver, as ups.conf has them."
    )
    delays_at: Literal["driver", "device"] = Field(
        default="driver",
        description="Where the delays are set; device: its driver takes none, set them at the UPS.",
    )
    offdelay_seconds: Seconds | None = Field(
        default=None,
        description=(
            "From the last halt to the output going off, 60 or more. CyberPower, Q protocols:"
            " whole minutes."
        ),
    )
    ondelay_seconds: Seconds | None = Field(
        default=None,
        description=(
            "That the output stays off once the mains are back, 120 or more; Q protocols: 180."
        ),
    )
    mode: Literal["stock", "policy"] = Field(
        default="stock",
        description=(
            "stock: NUT's own upsmon and upssched decide; policy: our driver does, for tiers and"
            " for a UPS that cannot be believed."
        ),
    )
    capacity_seconds: Seconds | None = Field(
        default=None,
        description=(
            "Runtime at the site's load, measured by a discharge test of your own. Without any"
            " measurement the UPS is being commissioned."
        ),
    )
    low_battery_is_enough: bool = Field(
        default=False,
        description=(
            "Whether its own word `battery low` may decide alone: no thresholds of ours, and, while"
            " it was never measured, no limit of time either. Right where the UPS was set to say it"
            " with more time left than the shutdown needs (battery.runtime.low); the gate asks."
        ),
    )
    runtime_unit: Literal["seconds", "minutes"] = Field(
        default="seconds",
        description=(
            "What its driver counts battery.runtime in; minutes where a full battery says 5 to 60"
            " (some do, against NUT's rules): never guessed."
        ),
    )
    measured_alone: bool | None = Field(
        default=None,
        description=(
            "Whether the whole load was on it while its capacity was measured. Left out: only when"
            " no other UPS feeds its host; else a share of the load counts."
        ),
    )
    battery_installed: Day | None = Field(
        default=None, description="When; the UPS's own date is often wrong."
    )
    battery_life_months: int = Field(
        default=48, gt=0, le=240, description="After which a battery is not counted on as before."
    )
    clients: tuple[Name, ...] = Field(default=(), description="Hosts that follow it.")
    tiers: dict[Name, Tier] = Field(
        default={}, description="Hosts that stop earlier; mode `policy` only."
    )

    def followed(self, name: str) -> tuple[str, ...]:
        """Return what monitors follow of the UPS of this name: itself, or its virtual ones.

        As role nut_primary names them: the site's first, then one for each tier.
        """
        if self.mode == "stock":
            return (name,)
        return tuple(f"{name}-{part}" for part in ("site", *self.tiers))

    def followed_by(self, name: str, host: str) -> str:
        """Return which of them a host follows."""
        if self.mode == "stock":
            return name
        tier = next((tier for tier, one in self.tiers.items() if host in one.hosts), "site")
        return f"{name}-{tier}"
