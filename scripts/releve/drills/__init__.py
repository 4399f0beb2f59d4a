"""Drills: each promise is tried, and what was seen is kept as evidence."""
