"""What each warning about a UPS's values means, in a sentence; standard library only."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DOUBTS = {
    "NOT_UPS": "this is no UPS (a PDU, a power supply, a transfer switch)",
    "ST_MISSING": "it publishes no status",
    "ST_EMPTY": "its status is empty",
    "ST_NO_POWER_TOKEN": "its status says neither OL nor OB",
    "ST_IMPLIED_OL": "only TRIM or BOOST: read as on line",
    "ST_OL_OB": "OL and OB at once",
    "ST_OL_DISCHRG": "OL DISCHRG means mains on some models and battery on others: a drill tells",
    "ST_LB_ON_LINE": "low battery with the mains present: counts only on battery, and held",
    "ST_OB_BLIND": "on battery, and not one value of battery or input",
    "ST_OL_INPUT_DEAD": "on line although the input voltage is dead",
    "ST_OB_INPUT_OK": "on battery although the input voltage is normal: a test, or the wiring",
    "ST_FSD": "FSD that no client has set",
    "ST_CAL": "calibrating: an event, no trigger",
    "ST_OFF": "its output is off: nothing is protected",
    "ST_BYPASS": "in bypass: nothing is protected",
    "ST_OVER": "overloaded",
    "ST_RB": "asks for a new battery: believed after three polls in a day or a failed test",
    "ST_ALARM": "raises an alarm",
    "ST_ECO": "in economy mode: the transfer to battery takes longer",
    "ST_WAIT": "its driver has no data yet",
    "ST_UNKNOWN_TOKEN": "a word in the status that NUT does not know",
    "RT_MISSING": "no runtime",
    "RT_TEXT": "the runtime is text (as 36:00): no value",
    "RT_NEGATIVE": "a negative runtime: no value",
    "RT_ZERO": "a runtime of 0: no value, unless it fell to it",
    "RT_SENTINEL": "a runtime that stands for none (as 65535)",
    "RT_TINY": "a runtime below a minute on line: perhaps minutes; name the unit in the town file",
    "RT_HUGE": "a runtime of more than six hours: never more than the measured capacity",
    "RT_GUESSED": "the driver reckons the runtime from a table (runtimecal)",
    "RT_GRAIN_60": "the runtime counts whole minutes: one is taken off",
    "CH_MISSING": "no charge",
    "CH_TEXT": "the charge is text: no value",
    "CH_RANGE": "a charge outside 0 to 100: no value",
    "CH_ZERO_ON_LINE": "a charge of 0 with the mains present: no value",
    "CH_FULL_LB": "low battery at a full charge: one of the two is wrong",
    "CH_GUESSED": "the driver guesses the charge from the voltage",
    "CL_ABSURD": "its own charge threshold makes no sense: its LB is no floor",
    "RL_ABSURD": "its own runtime threshold makes no sense (minutes?): its LB is no floor",
    "LD_MISSING": "no load: the site's highest is taken",
    "LD_TEXT": "the load is text: the site's highest is taken",
    "LD_ZERO": "a load of 0: the site's highest is taken; its runtime is an idle figure",
    "LD_RANGE": "an impossible load: the site's highest is taken",
    "LD_FROM_POWER": "the load is reckoned from the power",
    "BV_MISSING": "no battery voltage",
    "BV_TEXT": "the battery voltage is not written as a plain number",
    "BV_ABSURD": "the battery voltage does not fit the battery",
    "BV_PER_CELL": "the battery voltage is that of one cell: its course in the deep test counts",
    "BD_BOGUS": "the battery's date is a factory default or no date: write it in the town file",
    "TM_ARMED": "a shutdown timer is running",
    "DL_SHORT": "the output would go off in less than 60 s",
    "DL_UNSET": "no delay before the output goes off",
    "DL_ORDER": "the output would come on no later than it goes off",
    "DRV_GONE": "its driver is not in NUT 2.8 any more",
}


def sentences(warnings: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each warning with its sentence."""
    for warning in warnings:
        yield warning, DOUBTS.get(warning, "")
