#!/usr/bin/env python3
"""Give ansible-vault the key of the town's secrets.

The key is a random one in `.vault-key` beside the town file (mode 0600, never in the repository).
Without that file a useless random key is given, so that runs which need no secret still work;
those that need one say "Decryption failed". ansible-vault itself is refused then: what it encrypts
under a key that nobody keeps is lost.
"""

import os
import secrets
import sys
from pathlib import Path

town = Path(os.environ.get("RELEVE_INVENTORY", "inventory/lab"))
key = (town if town.is_dir() else town.parent) / ".vault-key"
caller = Path(f"/proc/{os.getppid()}/cmdline")
words = caller.read_bytes().split(b"\0") if caller.exists() else []
if key.exists():
    sys.stdout.write(key.read_text().strip())
elif any(Path(os.fsdecode(word)).name == "ansible-vault" for word in words[:2]):
    sys.exit(
        f"{key}: there is no such key; name the town by `export RELEVE_INVENTORY=inventory/NAME`"
        " and make its key (docs/how-to/keep-secrets.md)"
    )
else:
    sys.stdout.write(secrets.token_hex(32))
