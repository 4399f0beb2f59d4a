"""A script of upssched is judged by what it does for a name, not by what it talks about."""

from __future__ import annotations

import time

import pytest

from releve.power.lint.script import stops, stops_as_root_only

USUAL = """\
#!/bin/sh
# upsmon -c fsd would be too early here
SHUTDOWN="/sbin/shutdown -h now"
FSD='upsmon -c fsd'

tell() {
    logger -t upssched "poweroff is near: $1"
}
stop_all() {
    tell "stopping"
    leave
}
leave() {
    test -n "${SHUTDOWN}" || exit
    ${SHUTDOWN}
}
off() { $SHUTDOWN; }

case $1 in
    onbatt|"on battery")
        tell "on battery"
        # /sbin/shutdown -h now
        ;;
    powerdown) /sbin/upsmon -c fsd ;;
    early) /sbin/$FSD;;
    critical)
        stop_all
        ;;
    guests-*) qm shutdown 101 ;;
    online) echo "shutdown -c: mains are back" ;;
    late) shutdown +1 ;;
    short) off;;
    cut) upsdrvctl shutdown ;;
    sd) systemctl --no-wall poweroff ;;
    *) logger "unknown: $1"
esac
"""
BY_IF = 'if [ "$1" = "onbatt" ]; then\n  /sbin/shutdown -h now\nfi\n'
ALL = "case $1 in\n  *) /sbin/upsmon -c fsd ;;\nesac\n"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("onbatt", False), ("on battery", False), ("powerdown", True), ("early", True),
        ("critical", True), ("guests-first", False), ("online", False), ("late", True),
        ("cut", True), ("sd", True), ("short", True), ("whatever", False),
    ],
)  # fmt: skip
def test_a_script_of_the_usual_form(name: str, *, told: bool) -> None:
    assert stops(USUAL, name) is told


def test_other_forms_tell_nothing_or_what_they_do_for_all() -> None:
    assert stops(BY_IF, "onbatt") is None
    assert stops(BY_IF, "online") is False
    assert stops(ALL, "whatever") is True
    assert stops("", "onbatt") is False


ALWAYS = "#!/bin/sh\nCMD=/sbin/upsmon\nif true; then\n  logger x\nfi\n${CMD} -c fsd\n"
AFTER = """\
#!/bin/bash
case $1 in
    onbatt) text="on battery" ;;
    low) text=low; stop=yes ;;
    tell) logger "$1"; exit 0 ;;
esac
logger "$text"
if [ -n "$stop" ]; then
    /sbin/upsmon -c fsd
fi
"""


def test_what_stands_outside_of_each_case_is_done_for_all() -> None:
    assert stops(ALWAYS, "onbatt") is True
    assert stops("case $1 in\n  a) logger a ;;\nesac\nhalt -p\n", "a") is True
    assert stops("poweroff() {\n  shutdown -h now\n}\nlogger x\n", "a") is False
    assert stops("STOP='shutdown -h now'\nlogger x\n", "a") is False
    assert stops_as_root_only("/sbin/shutdown -h +0\n", "onbatt")


@pytest.mark.parametrize(("name", "told"), [("onbatt", None), ("low", None), ("tell", False)])
def test_what_a_case_has_prepared_for_later_is_not_told(name: str, *, told: bool | None) -> None:
    assert stops(AFTER, name) is told


@pytest.mark.parametrize(
    "guard",
    ['[ "$1" = stop ] || exit 0\nupsmon -c fsd', '[ "$1" = stop ] && upsmon -c fsd',
     'if [ "$1" != stop ]; then\n  exit\nfi\nupsmon -c fsd'],
)  # fmt: skip
def test_a_stop_behind_a_comparison_is_not_told(guard: str) -> None:
    assert stops(f"{guard}\n", "stop") is None
    assert stops(f"{guard}\n", "onbatt") is False


def test_another_language_is_not_taken_for_a_shell() -> None:
    text = '#!/usr/bin/env python3\ndef stop():\n    os.system("shutdown -h now")\n'

    assert stops(text, "onbatt") is False
    assert stops(text + 'if sys.argv[1] == "low":\n    stop()\n', "low") is None


@pytest.mark.parametrize("word", ["fsd", '"fsd"', "'fsd'"])
def test_a_forced_shutdown_may_be_quoted(word: str) -> None:
    assert stops(f"case $1 in\n x) /sbin/upsmon -c {word} ;;\nesac\n", "x") is True


def test_a_function_that_is_called_often_costs_no_time() -> None:
    function = "x() {\n" + "true\n" * 4000 + "upsmon -c fsd\n}\n"
    text = f"{function}case $1 in\na)\n" + "x\n" * 4000 + ";;\nesac\n"
    begun = time.process_time()

    assert stops(text, "a")
    assert time.process_time() - begun < 2


def test_functions_that_call_each_other_end() -> None:
    assert stops("a() {\n b\n}\nb() {\n a\n}\ncase $1 in\nx) a ;;\nesac\n", "x") is False


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("critical", True), ("late", True), ("sd", True), ("cut", True), ("powerdown", False),
        ("early", False), ("onbatt", False), ("whatever", False),
    ],
)  # fmt: skip
def test_a_stop_that_user_nut_may_not_do(name: str, *, told: bool) -> None:
    assert stops_as_root_only(USUAL, name) is told


def test_a_stop_by_other_rights_or_of_another_host_is_left_to_its_maker() -> None:
    for words in ("sudo /sbin/shutdown -h now", "ssh -i /etc/nut/key root@nas poweroff"):
        assert not stops_as_root_only(f"case $1 in\n x) {words} ;;\nesac\n", "x")
    assert not stops_as_root_only(BY_IF, "onbatt")  # which the linter cannot follow
