"""Disk images of other hypervisors, read by their headers alone: what they are, and if whole.

Nothing is written and no program of the source's host is needed but `dd`. An image that cannot
be copied faithfully is named by one sentence (ImageError) before the first byte is moved: QEMU
itself reads a differencing VHD as if its parent were zeros, and what lies behind the end of a cut
file as zeros.
"""

from __future__ import annotations
