"""Where guests come from: what an old host says about them, read without touching it."""
