"""Move guests off an old host while they work: seed, rounds, cutover, proof, way back.

The controller (here) holds the plan and the journal; a worker on the node moves the bytes; on the
old host nothing is installed.
"""
