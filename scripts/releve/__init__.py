"""releve: the server room of a town hall as code."""

__version__ = "0.1.0"
