"""Checks of the way from the old host to the node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from releve.migrate.preflight.check import Collected, failed, passed, unknown, warning
from releve.migrate.preflight.units import MIB, span

if TYPE_CHECKING:
    from releve.migrate.preflight.check import Said
    from releve.migrate.preflight.facts import Facts

PATH = Collected([])
NIGHT = 12 * 3600.0
MARGIN = 3
ROLLBACK_SECONDS = 300


@PATH.add(
    "host-keys-pinned",
    "P1",
    "`ssh-keygen -F` in the town's known_hosts",
    "compare the key at the host's console, then add it to known_hosts",
)
def host_keys_pinned(facts: Facts) -> Said:
    """The keys of old host and node are known, so nobody can stand between."""
    bare = sorted(host for host, pinned in facts.path.pinned.items() if not pinned)
    if not facts.path.pinned:
        return unknown("known_hosts was not read")
    return failed(", ".join(bare)) if bare else passed(", ".join(sorted(facts.path.pinned)))


@PATH.add(
    "path-measured",
    "P2",
    "bytes of the first disk read at the old host and sent to the node for a few seconds",
    "plan with --probe when the network is as busy as it will be; the forecast rests on it",
)
def path_measured(facts: Facts) -> Said:
    """The way from the old host to the node was measured."""
    rate, read = facts.path.rate, facts.path.read_rate
    if rate is None:
        return unknown("not measured")
    text = f"{rate / MIB:.0f} MiB/s"
    text += f", the disk gives {read / MIB:.0f} MiB/s" if read else ""
    return passed(text) if rate > 0 else failed("nothing arrives")


@PATH.add(
    "path-takes-full-frames",
    "P3",
    "`ping -M do` from the node with the bridge's largest frame",
    "set one MTU on every switch and host of the way",
)
def path_takes_full_frames(facts: Facts) -> Said:
    """A frame of the full size reaches the old host."""
    if facts.path.mtu is None:
        return unknown("not tried")
    return passed("yes") if facts.path.mtu else failed("it is lost on the way")


@PATH.add(
    "office-traffic-spared",
    "P4",
    "the forecast of the seed, and the limit that was set",
    "set --bandwidth, or seed at night",
)
def office_traffic_spared(facts: Facts) -> Said:
    """A seed that lasts into office hours leaves room for others."""
    if facts.seed is None:
        return unknown("no forecast")
    limited = bool(facts.bandwidth.windows)
    limit = f"at most {facts.bandwidth} MiB/s" if limited else "no limit"
    text = f"{span(facts.seed)}, {limit}"
    return passed(text) if limited or facts.seed < NIGHT else warning(text)


@PATH.add(
    "address-not-taken",
    "P5",
    "who answers for the guest's addresses, asked from the node",
    "find that machine before: it would fight the guest for its address",
    fixed="two machines with one address on a network break both",
)
def address_not_taken(facts: Facts) -> Said:
    """Only the guest itself answers for its addresses."""
    heard = {
        str(nic.address): (facts.node.neighbours.get(str(nic.address), ""), nic.mac)
        for nic in facts.guest.nics
        if nic.address
    }
    wrong = [f"{ip} answers as {mac}" for ip, (mac, mine) in heard.items() if mac not in {"", mine}]
    if wrong:
        return failed("; ".join(wrong))
    if facts.node.error or not heard:
        return unknown("no address in town.yml" if not heard else "the node was not read")
    silent = [ip for ip, (mac, _mine) in heard.items() if not mac]
    if silent and facts.source is not None and facts.source.running:
        return unknown(f"nobody answers for {', '.join(silent)}")
    return passed(", ".join(f"{ip}: {mac or 'nobody'}" for ip, (mac, _mine) in heard.items()))


@PATH.add(
    "forwarding-allowed",
    "P6",
    "`sshd -T` of the old host",
    "set AllowTcpForwarding (local) and AllowStreamLocalForwarding (yes) in its sshd_config",
)
def forwarding_allowed(facts: Facts) -> Said:
    """The old host's sshd forwards sockets."""
    if facts.old.forwarding is None:
        return unknown("sshd -T told nothing")
    text = facts.old.forwarding
    return passed(text) if set(text.split()) <= {"yes", "all", "local"} else failed(text)


@PATH.add(
    "window-long-enough",
    "P7",
    "the forecast of the stop against the window that was set",
    "take a longer window, or bring the forecast down: see its parts",
)
def window_long_enough(facts: Facts) -> Said:
    """The window holds three times the forecast of the stop, and the way back."""
    if facts.window is None or facts.downtime is None:
        return unknown("no window was set" if facts.window is None else "no forecast")
    need = MARGIN * facts.downtime + ROLLBACK_SECONDS
    text = f"{span(need)} of {span(facts.window)}"
    return passed(text) if need <= facts.window else failed(text)
