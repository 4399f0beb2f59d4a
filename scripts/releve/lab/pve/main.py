"""Command line of the double: which part to run, and where its files are."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from . import certificate
from .boot import startall, stopall
from .place import Place, write_text
from .refusal import Refusal
from .server import Server
from .tools import pvesm, qm
from .watcher import Watcher


def main(words: list[str]) -> int:
    """Run one part; return the exit code of the process."""
    parser = argparse.ArgumentParser(prog="releve-lab", description=__doc__)
    parser.add_argument("part", choices=["serve", "watch", "startall", "stopall", "qm", "pvesm"])
    parser.add_argument("words", nargs="*")
    parser.add_argument("--root", type=Path, default=Path("/"), help="root of the host's files")
    parser.add_argument("--node", default=os.uname().nodename.partition(".")[0])
    parser.add_argument("--listen", default="0.0.0.0:8006")  # as PVE's proxy does
    parser.add_argument("--late", type=float, default=3, help="seconds before a 401")
    parser.add_argument("--port-file", type=Path, help="file that gets the TCP port")
    options = parser.parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    place = Place(options.root, options.node)
    place.prepare()
    try:
        return _run(place, options)
    except Refusal as refusal:
        sys.stderr.write(f"{refusal.message}\n")
        return 255


def _run(place: Place, options: argparse.Namespace) -> int:
    if options.part == "serve":
        certificate.ensure(place)
        address, _, port = options.listen.rpartition(":")
        tls = (place.config / "local/pve-ssl.pem", place.config / "local/pve-ssl.key")
        with Server((address, int(port)), place, tls, options.late) as server:
            if options.port_file:
                write_text(options.port_file, str(server.server_address[1]))
            server.serve_forever()
    elif options.part == "watch":
        Watcher(place).serve()
    elif options.part == "startall":
        return min(startall(place), 1)
    elif options.part == "stopall":
        return min(stopall(place), 1)
    else:
        tool = qm if options.part == "qm" else pvesm
        said = tool(place, options.words)
        sys.stdout.write(f"{said}\n" if said else "")
    return 0
