"""Run one part of the double: `python3 /usr/lib/releve-lab serve|watch|startall|stopall|qm|pvesm`.

The folder is run as it stands (it is mounted into the host under another name than in the
project), so the package is found by the folder's own name.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

if not __package__:
    folder = Path(__file__).resolve().parent
    sys.path[0] = str(folder.parent)
    main = importlib.import_module(f"{folder.name}.main").main
else:
    from .main import main

sys.exit(main(sys.argv[1:]))
