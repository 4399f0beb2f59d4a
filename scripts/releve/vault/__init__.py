"""The vault of copies: what runs on it (receive, seal, verify, grant) and what sends to it.

Everything in this package but `restore` runs on hosts under the system's Python, with nothing
beside it but the standard library (and the mover, on the sender's side).
"""
