"""The linter: read NUT's files as NUT does, and say what would go wrong in a power cut."""
