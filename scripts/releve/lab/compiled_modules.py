"""Keep what Python compiles of Ansible's modules; each Python of the lab's hosts begins with it.

A module comes to a host as source in an archive, some forty files that Python compiles each time,
and twice: half of what a task costs that changes nothing. What runs is the same code, found by the
hash of its source. It lies on hosts by itself, and each program there waits for it: keep it small.
"""

import marshal
import os
import zipimport
from _imp import source_hash

FOLDER = "/var/cache/compiled-modules"  # root's alone: others compile
OURS = "/ansible_"  # how the archive's folder begins
SEED = 0x72656C65

_compile = zipimport._compile_source  # type: ignore[attr-defined]  # there is no public one


def compile_once(path: str, source: bytes) -> object:
    """Return the code of one file, compiled now or by an earlier module of this host."""
    if OURS not in path or os.getuid() != 0:
        return _compile(path, source)
    file = FOLDER + "/" + source_hash(SEED, source).hex()
    try:
        with open(file, "rb") as stream:  # noqa: PTH123  # pathlib takes longer than this
            return marshal.loads(stream.read())  # noqa: S302  # of root's own folder
    except (OSError, EOFError, ValueError, TypeError):
        code = _compile(path, source)
    part = file + "." + str(os.getpid())
    try:
        os.makedirs(FOLDER, 0o700, exist_ok=True)  # noqa: PTH103
        with open(part, "wb") as stream:  # noqa: PTH123
            stream.write(marshal.dumps(code))
        os.replace(part, file)  # noqa: PTH105
    except OSError:
        pass
    return code


zipimport._compile_source = compile_once  # type: ignore[attr-defined]
