"""The shadow drill: a host's real NUT meets a power cut that is none, and nothing is left of it.

The host's own upsd, upsmon and upssched run a second time, on a copy of its configuration, where
they can reach nothing: `sandbox.py` gives them mounts, processes, network and /dev of their own,
`config.py` rewrites the few lines that must not be real, `stage.py` plays the cut, `witness.py`
looks from outside that the host is as before. Standard library only.
"""

from releve.power.shadow.main import main

__all__ = ["main"]
