"""What a town's admin gave a NUT role, judged before a host is touched; standard library only."""
