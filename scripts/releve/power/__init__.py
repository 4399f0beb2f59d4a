"""Power cuts: what a UPS can be believed about, what a shutdown needs, who brings everybody back.

Standard library only: role nut_primary carries this package to the UPS's host as one zipapp,
`power.pyz`, which needs nothing else there.
"""
