"""The lab's UPS: a NUT driver inside the UPS's host, and outside of all hosts its battery, its
output relay and the mains. Kept apart, so that a host that comes back cannot read its own past.

Files below the world's folder (`build/lab/world`, in the host `/run/releve-world`):
`UPS.json` what the driver publishes; `UPS.cmd.d/` what the driver was told; `control.d/` what a
person or a drill does to the mains; `events.jsonl` what happened, with UTC times.
"""
