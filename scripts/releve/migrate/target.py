"""Where a guest goes: what the migration asks of a target, whatever it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class Target(Protocol):
    """A place for one guest on one node. All methods may be called again after a crash."""

    def identify(self, kept: dict[str, Any]) -> Target:
        """Return the target that gives the guest the identity it has at its source."""

    def prepare(
        self, run: str, sizes: dict[str, int], cleared: Mapping[str, set[str]]
    ) -> dict[str, str]:
        """Make volumes for the disks (name -> bytes) and return their paths on the node.

        What this run made before is found again; what a run of `cleared` left (run -> paths of its
        volumes) is removed first. Raises ForeignError when something else is there.
        """

    def by_root(self) -> str:
        """Return a shell line that root of the node must run after `prepare`; "" for none.

        After it nobody can start the guest, give it a volume or remove it, until `opening`.
        """

    def opening(self, runs: Collection[str]) -> str:
        """Return root's line before `start`, or before `prepare` clears; "" for none.

        Only a guest of one of these runs is opened.
        """

    def closing(self) -> str:
        """Return root's line after `stop`: nobody starts it from now on; "" for none."""

    def firmware_path(self) -> str | None:
        """Return where the guest's EFI variables are on the node; None for a guest without."""

    def tpm_path(self) -> str | None:
        """Return where the state of the guest's TPM is on the node; None for a guest without."""

    def start(self) -> None:
        """Give the guest its disks and start it; a running one is no fault.

        Its cables are in, but for one whose agent is asked first: `plug` puts them in.
        """

    def plug(self) -> None:
        """Put the guest's cables in."""

    def agent_answers(self) -> bool:
        """Say whether the guest's QEMU agent answers."""

    def stop(self, seconds: int) -> None:
        """Press the power button, cut the power after so long, and return when it is off."""

    def delete(self, run: str) -> None:
        """Remove the guest and the volumes that this run made; raises ForeignError for others'."""

    def exists(self, run: str) -> bool:
        """Say whether the guest that this run made is there."""

    def running(self) -> bool:
        """Say whether the guest runs."""

    def macs(self) -> tuple[str, ...]:
        """Return the hardware addresses that the guest has there, lower case."""
