"""Preflight: what is looked at before a guest moves. Reading only; the verdicts are pure."""
