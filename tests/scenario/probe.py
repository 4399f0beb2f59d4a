"""Ask by ARP, ten times a second, who has an address; print each answer and the port it came by.

    probe.py ADDRESS BRIDGE PORT...

Run by `watch.Asking` in the workstation's namespace; stock Python, no line of the product. An
asking is a probe as of RFC 5227, from no address: whoever has the address answers, and nobody's
table of neighbours changes. It comes from a hardware address of its own, to which the answer goes:
so an answer that is late still names its asking.
"""

from __future__ import annotations

import socket
import sys
import time

EVERY = 0.1  # seconds
ETH_P_ALL, ETH_P_ARP = 3, 0x0806
REQUEST, REPLY = 1, 2
FIRST = 0x02_61_00_00_00_00  # locally administered; the number of the asking is added
ETHERNET_IPV4 = bytes.fromhex("0001080006 04".replace(" ", ""))


def asking(number: int, address: str) -> bytes:
    """Return the frame of one asking."""
    sender = (FIRST + number).to_bytes(6, "big")
    return (
        b"\xff" * 6 + sender + ETH_P_ARP.to_bytes(2, "big")
        + ETHERNET_IPV4 + REQUEST.to_bytes(2, "big")
        + sender + bytes(4) + bytes(6) + socket.inet_aton(address)
    )  # fmt: skip


def answer(frame: bytes, address: str) -> tuple[int, str] | None:
    """Return the number of the asking that a frame answers, and who says to have the address."""
    head = ETH_P_ARP.to_bytes(2, "big") + ETHERNET_IPV4 + REPLY.to_bytes(2, "big")
    if frame[12:22] != head or frame[28:32] != socket.inet_aton(address):
        return None
    number = int.from_bytes(frame[32:38], "big") - FIRST
    return (number, frame[22:28].hex(":")) if 0 < number < 1 << 32 else None


def main(address: str, bridge: str, *ports: str) -> None:
    """Ask until killed."""
    ask = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    ask.bind((bridge, 0))
    hear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    print("ready", flush=True)  # noqa: T201  # what is printed is the result
    number, due = 0, time.monotonic()
    while True:
        wait = due - time.monotonic()
        if wait <= 0:
            number, due = number + 1, due + EVERY
            ask.send(asking(number, address))
            print("asked", number, flush=True)  # noqa: T201
            continue
        hear.settimeout(wait)
        try:
            frame, where = hear.recvfrom(2048)
        except TimeoutError:
            continue
        if (
            where[0] in ports
            and where[2] != socket.PACKET_OUTGOING
            and (found := answer(frame, address))
        ):
            print("answer", found[0], where[0], found[1], flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
