"""The town file: one truth about one installation, typed, with errors that name the line."""

from releve.town.load import load_town
from releve.town.model import Town

__all__ = ["Town", "load_town"]
