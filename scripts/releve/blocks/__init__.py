"""The block mover: read a point in time of a disk over NBD, move what changed, prove it.

Standard library and libnbd only, and nothing else of `releve`: the package runs on nodes as one
zipapp, under the system's Python (3.11 or later) with Debian's `python3-libnbd`.
"""
