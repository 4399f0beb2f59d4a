"""The packet that rewake sends is the one that the lab's hosts wake from."""

from __future__ import annotations

import socket

from releve.lab.ups.magic import address_in, heard_addresses, listen


def test_only_a_whole_packet_wakes() -> None:
    octets = bytes.fromhex("525400910102")

    assert address_in(b"\xff" * 6 + octets * 16) == "52:54:00:91:01:02"
    assert address_in(b"\xff" * 6 + octets * 15) is None
    assert address_in(b"\xfe" * 6 + octets * 16) is None
    assert address_in(b"") is None


def test_what_was_heard_is_told_once() -> None:
    with listen(None, port=0) as heard:
        port = heard.getsockname()[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"\xff" * 6 + bytes.fromhex("525400910102") * 16, ("127.0.0.1", port))
            sender.sendto(b"noise", ("127.0.0.1", port))

        assert heard_addresses(heard) == ["52:54:00:91:01:02"]
        assert heard_addresses(heard) == []
