"""Power cuts: what a shutdown needs against the battery, and who brings everybody back.

`budget.py` and `rewake.py` are links into role nut_primary, which carries them to the UPS's host:
the role has to run without this package.
"""
