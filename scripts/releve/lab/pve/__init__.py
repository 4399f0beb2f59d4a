"""The lab's stand-in for Proxmox VE's API: few endpoints, strict answers, real QEMU guests.

It runs inside the host `pve1` under the system's Python, so it imports nothing but the standard
library and itself. README.md in this folder says what it cannot contradict.
"""
