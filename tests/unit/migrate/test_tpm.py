"""What a guest sealed in its TPM is there after a move, and at its source after the way back."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from releve.command import run
from releve.migrate import tpm
from releve.migrate.fence import Fence
from releve.migrate.sources.domain import Tpm

if TYPE_CHECKING:
    from releve.ssh import Ssh

RUN = "test-of-tpm"


class Here:
    """This machine in place of a host."""

    host = "here"

    def run(self, line: str, *, timeout: float = 60, stdin: str | None = None) -> Any:
        return run(["sh", "-c", line], timeout=timeout, stdin=stdin)


@pytest.mark.parametrize(
    ("found", "carried"),
    [
        (None, False),
        (Tpm("2.0", "tpm-crb"), True),
        (Tpm("1.2", "tpm-tis"), False),
        (Tpm("2.0", "tpm-tis", "/somewhere/else"), False),
    ],
)
def test_only_what_is_understood_is_carried(found: Tpm | None, *, carried: bool) -> None:
    assert tpm.carried(found) is carried


@pytest.mark.root
@pytest.mark.slow
def test_a_volume_gets_the_very_keys(tmp_path: Path) -> None:
    if shutil.which("swtpm_ioctl") is None:
        pytest.skip("no swtpm: scripts/test installs it")
    made, volume = tmp_path / "made", tmp_path / "vm-1-disk-1.raw"
    made.mkdir()
    setup = ["swtpm_setup", "--tpm2", "--lock-nvram", "--runas", "0"]
    subprocess.run([*setup, "--tpmstate", str(made)], check=True, capture_output=True)
    state = (made / "tpm2-00.permall").read_bytes()
    with volume.open("wb") as stream:
        stream.truncate(4 << 20)

    seal = tpm.carry(state, cast("Ssh", Here()), str(volume), RUN)
    again = tpm.carry(state, cast("Ssh", Here()), str(volume), RUN)

    assert len(seal) == 64
    assert again == seal
    # the seeds of its keys, at their place; PCR banks before them settle at the next start
    assert state[300:900] in volume.read_bytes()
    kept = subprocess.run(
        [*setup, "--not-overwrite", "--tpmstate", f"file://{volume}"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "Not overwriting" in kept.stdout + kept.stderr
    assert not Path(f"/run/releve/{RUN}/tpm").exists()


VIRSH = """\
#!/bin/sh
# libvirt before 8.9 in a few lines: with the definition goes the state of the TPM
while [ "${1#-}" != "$1" ]; do shift; done
case $1 in
dumpxml) echo '<domain/>' ;;
domstate) echo 'shut off' ;;
domuuid) [ -e "$WORLD/defined" ] && echo some-uuid ;;
undefine) rm -rf "$WORLD/tpm/some-uuid"; rm "$WORLD/defined" ;;
define) touch "$WORLD/defined" ;;
esac
"""


def host(world: Path) -> Here:
    """Return a host on which there is one guest with a TPM."""
    state = world / "tpm" / "some-uuid" / "tpm2" / "tpm2-00.permall"
    state.parent.mkdir(parents=True)
    state.write_bytes(b"sealed")
    (world / "defined").touch()
    (world / "bin").mkdir()
    for name, text in (("virsh", VIRSH), ("sync", "#!/bin/sh\n")):
        (world / "bin" / name).write_text(text)
        (world / "bin" / name).chmod(0o755)

    class Old(Here):
        def run(self, line: str, **more: Any) -> Any:
            line = f"export WORLD={world} PATH={world}/bin:$PATH\n{line}"
            if line.endswith("exit 0\n"):  # the look
                line = f"[ -e {world}/defined ] || exit 3; printf '<domain/>\\0\\0off\\0\\0\\0'"
            return super().run(line, **more)

    return Old()


def test_a_fence_keeps_the_state_that_libvirt_takes_away(tmp_path: Path) -> None:
    state = tmp_path / "tpm" / "some-uuid" / "tpm2" / "tpm2-00.permall"
    old = cast("Ssh", host(tmp_path))
    fence = Fence(old, "guest", str(tmp_path / "kept.xml"), autostart=False, tpm=f"{tmp_path}/tpm")

    fence.close()

    assert not (tmp_path / "defined").exists()
    assert state.read_bytes() == b"sealed"
    fence.open()
    assert (tmp_path / "defined").exists()
    assert state.read_bytes() == b"sealed"


def test_a_fence_that_died_in_its_middle_gives_the_state_back(tmp_path: Path) -> None:
    state = tmp_path / "tpm" / "some-uuid"
    old = cast("Ssh", host(tmp_path))
    fence = Fence(old, "guest", str(tmp_path / "kept.xml"), autostart=False, tpm=f"{tmp_path}/tpm")
    (tmp_path / "kept.xml").write_text("<domain/>")
    (tmp_path / "defined").unlink()
    state.rename(state.with_name("some-uuid.kept"))

    fence.open()

    assert (state / "tpm2" / "tpm2-00.permall").read_bytes() == b"sealed"
