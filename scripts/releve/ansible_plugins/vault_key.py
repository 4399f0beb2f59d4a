#!/usr/bin/env python3
"""Give ansible-vault the key of the town's secrets.

The key is a random one in `.vault-key` beside the town file (mode 0600, never in the repository).
Without that file a useless random key is given, so that runs which need no secret still work;
those that need one say "Decryption failed".
"""

import os
import secrets
import sys
from pathlib import Path

town = Path(os.environ.get("RELEVE_INVENTORY", "inventory/lab"))
key = (town if town.is_dir() else town.parent) / ".vault-key"
sys.stdout.write(key.read_text().strip() if key.exists() else secrets.token_hex(32))
