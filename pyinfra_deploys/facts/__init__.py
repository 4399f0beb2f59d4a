"""Facts of hosts that have a POSIX shell and nothing that we put there."""
