"""From a sender through the receiver to a sealed copy, on a real btrfs."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from vault_rig import Image, Vault

from releve.vault import btrfs as flags
from releve.vault import seal
from releve.vault.receive import receive
from releve.vault.verify import verify
from releve.vault.wire import (
    BLOCK,
    END,
    HELLO,
    REFUSAL,
    DiskSize,
    Reader,
    Refusal,
    WireError,
    frame_of_blocks,
    frame_of_words,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from releve.vault.store import Config

pytestmark = pytest.mark.root
MIB = 1 << 20


@pytest.fixture
def image() -> Image:
    """Return a disk of 8 MiB and a half block, half of it zeros."""
    data = bytearray(os.urandom(4 * MIB)) + bytearray(4 * MIB + 512)
    return Image(DiskSize("vda", len(data)), data)


def used(path: Path) -> int:
    """Return the bytes that the filesystem has given out."""
    os.sync()
    disk = os.statvfs(path)
    return (disk.f_blocks - disk.f_bfree) * disk.f_frsize


def test_a_copy_is_a_plain_folder_that_sha256sum_can_check(vault: Vault, image: Image) -> None:
    sent, code = vault.put(image, words={"witness": {"record": 7, "sum": "ab"}})
    (copy,) = vault.copies()
    assert code == 0
    assert sent.words["copy"] == 1
    assert (copy.folder / "vda.raw").read_bytes() == image.data
    assert copy.facts()["witness"] == {"record": 7, "sum": "ab"}
    subprocess.run(
        ["sha256sum", "--strict", "-c", "manifest.txt"],
        cwd=copy.folder,
        check=True,
        capture_output=True,
    )
    lines = (copy.folder / "vda.blocks").read_text().splitlines()
    assert lines[0] == hashlib.sha256(image.data[:BLOCK]).hexdigest()
    assert lines[-1] == hashlib.sha256(bytes(512)).hexdigest()
    assert verify(vault.store, copy) == []
    assert vault.leftovers() == []


def test_the_next_copy_shares_what_did_not_change(vault: Vault, image: Image) -> None:
    vault.put(image)
    before = used(vault.config.root)
    image.data[BLOCK : 2 * BLOCK] = os.urandom(BLOCK)
    image.data[100 * BLOCK : 101 * BLOCK] = bytes(BLOCK)
    sent, _ = vault.put(image)
    first, second = vault.copies()
    assert sent.sent_blocks == 2
    assert sent.compared == "compared"
    assert (second.folder / "vda.raw").read_bytes() == image.data
    assert (first.folder / "vda.raw").read_bytes() != image.data
    assert used(vault.config.root) - before < 2 * MIB < image.disk.size
    assert verify(vault.store, first) == verify(vault.store, second) == []


def test_a_bitmap_says_what_to_read(vault: Vault, image: Image) -> None:
    vault.put(image)
    image.data[5 * BLOCK : 6 * BLOCK] = os.urandom(BLOCK)
    image.dirty = [4, 5, 6]
    sent, _ = vault.put(image)
    assert (sent.compared, sent.sent_blocks, sent.read_bytes) == ("bitmap", 1, 3 * BLOCK)
    assert (vault.copies()[-1].folder / "vda.raw").read_bytes() == image.data


def test_a_sender_that_lost_its_list_sends_all(vault: Vault, image: Image) -> None:
    vault.put(image)
    (vault.state / "vda.blocks").unlink()
    image.dirty = []
    sent, _ = vault.put(image)
    assert sent.compared == "all"
    assert (vault.copies()[-1].folder / "vda.raw").read_bytes() == image.data


def test_a_disk_that_grew_is_sent_whole(vault: Vault, image: Image) -> None:
    vault.put(image)
    image.data += os.urandom(MIB)
    image.disk = DiskSize("vda", len(image.data))
    sent, _ = vault.put(image)
    assert sent.compared == "all"
    assert (vault.copies()[-1].folder / "vda.raw").read_bytes() == image.data


def test_a_bitmap_that_lies_is_found_by_the_root(vault: Vault, image: Image) -> None:
    vault.put(image)
    lying = Image(image.disk, bytearray(image.data), [3])
    lying.data[3 * BLOCK] ^= 1
    sent, _ = vault.put(lying)
    assert sent.sent_blocks == 1
    assert (vault.copies()[-1].folder / "vda.raw").read_bytes() == lying.data


def attempts(folder: Path) -> dict[str, Callable[[], object]]:
    """Return ways to alter a copy."""
    raw = folder / "vda.raw"
    return {
        "write": lambda: raw.open("r+b"),
        "truncate": lambda: os.truncate(raw, 0),
        "unlink": raw.unlink,
        "rename": lambda: raw.rename(folder / "x"),
        "add": lambda: (folder / "new").write_text("x"),
        "link": lambda: os.link(raw, folder / "link"),
        "chmod": lambda: raw.chmod(0o777),
        "move": lambda: folder.rename(folder.parents[2] / "x"),
        "move guest": lambda: folder.parent.rename(folder.parents[2] / "x"),
        "replace": folder.parent.rmdir,
    }


def test_root_itself_must_take_the_seal_off_first(vault: Vault, image: Image) -> None:
    vault.put(image)
    (copy,) = vault.copies()
    assert seal.is_sealed(copy)
    for name, attempt in attempts(copy.folder).items():
        with pytest.raises(OSError, match=r"not permitted|Read-only"):
            raise AssertionError(f"{name} went through: {attempt()!r}")


ROOT_WITHOUT = ["setpriv", "--bounding-set", "-linux_immutable"]
RECEIVER = ["setpriv", "--reuid", "65534", "--clear-groups"]


@pytest.mark.parametrize(
    "who", [ROOT_WITHOUT, RECEIVER], ids=["root-without-capability", "receiver"]
)
def test_neither_the_receiver_nor_root_without_the_capability_can_alter(
    vault: Vault, image: Image, who: list[str]
) -> None:
    vault.put(image)
    (copy,) = vault.copies()
    raw = copy.folder / "vda.raw"
    words = {"c": copy.folder, "g": copy.folder.parent, "r": vault.config.root, "f": raw}
    env = {name: str(path) for name, path in words.items()}
    before = hashlib.sha256(raw.read_bytes()).hexdigest()
    for line in (
        'btrfs subvolume delete "$c"',
        'btrfs property set -ts "$c" ro false; chattr -i "$f" "$c"; rm -f "$f"',
        'btrfs property set -ts "$c" ro false; echo x >> "$f"',
        'mv "$c" "$r/x"',
        'mv "$r/copies" "$r/x" && rm -rf "$r/x"',
        'chattr -a "$g"; rm -rf "$g"; mv "$g" "$r/y"',
    ):
        done = subprocess.run(
            [*who, "sh", "-c", line], env=os.environ | env, check=False, capture_output=True
        )
        assert done.returncode != 0, line
    assert hashlib.sha256(raw.read_bytes()).hexdigest() == before


def unseal(folder: Path) -> None:
    """Do what only the vault's root can do."""
    subprocess.run(["btrfs", "property", "set", "-ts", str(folder), "ro", "false"], check=True)
    subprocess.run(["chattr", "-R", "-i", str(folder)], check=True)


def test_an_altered_copy_is_found_and_named(vault: Vault, image: Image) -> None:
    vault.put(image)
    (copy,) = vault.copies()
    unseal(copy.folder)
    with (copy.folder / "vda.raw").open("r+b") as stream:
        stream.seek(9 * BLOCK + 77)
        byte = stream.read(1)
        stream.seek(-1, os.SEEK_CUR)
        stream.write(bytes([byte[0] ^ 1]))
    faults = verify(vault.store, copy)
    assert any("vda.raw was altered (blocks 9; 1 in all)" in fault for fault in faults)
    assert any("seal is broken" in fault for fault in faults)


def test_an_altered_copy_does_not_keep_the_next_from_coming(vault: Vault, image: Image) -> None:
    vault.put(image)
    (copy,) = vault.copies()
    unseal(copy.folder)
    with (copy.folder / "vda.raw").open("r+b") as stream:
        stream.write(b"altered")
    with pytest.raises(Refusal, match="not sealed"):
        vault.put(image)
    assert len(vault.copies()) == 1
    sent, _ = vault.put(image)
    assert sent.compared == "all"
    assert verify(vault.store, vault.copies()[-1]) == []
    assert vault.put(image)[0].compared == "compared"


def test_a_manifest_made_to_fit_is_found_by_the_log(vault: Vault, image: Image) -> None:
    vault.put(image)
    (copy,) = vault.copies()
    unseal(copy.folder)
    manifest = copy.folder / "manifest.txt"
    (copy.folder / "guest.json").write_text("{}\n")
    digest = hashlib.sha256(b"{}\n").hexdigest()
    kept = [line for line in manifest.read_text().splitlines() if "guest.json" not in line]
    manifest.write_text("\n".join([*kept, f"{digest}  guest.json", ""]))
    assert "manifest.txt is not the one in the vault's log" in verify(vault.store, copy)


def session(vault: Vault, command: str, stream: bytes) -> tuple[int, str]:
    """Play a stream to the receiver; return its exit code and what it refuses for."""
    up = os.pipe()
    out = io.BytesIO()
    with os.fdopen(up[1], "wb") as pipe:
        pipe.write(stream)
    code = receive(vault.config, "pve1", command, out, up[0])
    os.close(up[0])
    answers = Reader(io.BytesIO(out.getvalue()).read)
    try:
        while True:
            answers.frame(b"ARX")
    except Refusal as refusal:
        return code, str(refusal)
    except WireError:
        return code, ""


def hello(size: int = 4 * BLOCK, **more: object) -> bytes:
    """Return the first frame of a sender."""
    words = {"version": 1, "disks": [{"name": "vda", "size": size}], "guest": {}}
    return frame_of_words(HELLO, words | more)


DATA = b"a" * BLOCK
ONE = frame_of_blocks(0, [(1, hashlib.sha256(DATA).digest(), DATA)])
BAD_STREAMS = {
    "nothing": b"",
    "no hello": ONE,
    "another version": hello(version=2),
    "other disks": hello(disks=[{"name": "vdb", "size": 512}]),
    "huge disk": hello(1 << 40),
    "guest is a list": hello(guest=[]),
    "cut": hello() + ONE[:1000],
    "cut before the end": hello() + ONE,
    "wrong root": hello() + ONE + frame_of_words(END, {"roots": ["0" * 64]}),
    "no roots": hello() + ONE + frame_of_words(END, {}),
    "roots are a number": hello() + ONE + frame_of_words(END, {"roots": 7}),
    "giving up": hello() + ONE + frame_of_words(REFUSAL, {"reason": "the source broke"}),
}


@pytest.mark.parametrize("name", BAD_STREAMS)
def test_a_bad_stream_leaves_nothing(vault: Vault, name: str) -> None:
    before = used(vault.config.root)
    code, reason = session(vault, "put compta vda", BAD_STREAMS[name])
    assert code == 1
    assert reason
    assert vault.leftovers() == []
    assert vault.copies() == []
    assert used(vault.config.root) <= before + MIB


@pytest.mark.parametrize(
    "command",
    [
        "",
        "sh",
        "put",
        "put compta",
        "put ../x vda",
        "put compta ../vda",
        "put compta vda;id",
        "put  compta vda",
        "put -x vda",
        "put compta.x vda",
        "get",
        "list",
        "put compta " + "vda " * 400,
        "scp -t /srv",
        "PUT compta vda",
        "put compta vda\n",
    ],
)
def test_any_other_command_is_refused(vault: Vault, command: str) -> None:
    assert session(vault, command, hello()) == (1, "this key can do one thing: put GUEST DISK...")


def test_a_full_quota_leaves_no_partial(vault: Vault, image: Image) -> None:
    small = Vault(_with(vault, quota_bytes=MIB), vault.state)
    with pytest.raises(Refusal, match="quota"):
        small.put(image)
    assert vault.leftovers() == []
    vault.put(image)
    with pytest.raises(Refusal, match="quota"):
        Vault(_with(vault, quota_bytes=5 * MIB), vault.state).put(
            Image(image.disk, bytearray(os.urandom(image.disk.size)))
        )
    assert len(vault.copies()) == 1


def test_the_reserve_is_not_for_senders(vault: Vault, image: Image) -> None:
    with pytest.raises(Refusal, match="reserve"):
        Vault(_with(vault, reserve_percent=99), vault.state).put(image)
    assert vault.leftovers() == []


def test_a_full_disk_leaves_no_partial(vault: Vault) -> None:
    filler = vault.config.root.parent / "filler"
    with filler.open("wb", buffering=0) as stream:
        try:
            while stream.write(os.urandom(MIB)):
                pass
        except OSError:
            pass
    data = bytearray(os.urandom(64 * MIB))
    full = Vault(_with(vault, reserve_percent=0), vault.state)
    try:
        with pytest.raises((Refusal, BrokenPipeError)):
            full.put(Image(DiskSize("vda", len(data)), data))
    finally:
        filler.unlink()
        os.sync()
    assert vault.leftovers() == []
    assert vault.copies() == []
    small = Image(DiskSize("vda", MIB), data[:MIB])
    assert vault.put(small)[1] == 0


def test_too_many_copies_in_a_day_are_refused(vault: Vault, image: Image) -> None:
    rare = Vault(_with(vault, copies_per_day=2), vault.state)
    rare.put(image)
    rare.put(image)
    with pytest.raises(Refusal, match="within a day"):
        rare.put(image)


def _with(vault: Vault, **settings: int) -> Config:
    return dataclasses.replace(vault.config, **settings)  # type: ignore[arg-type]  # only numbers


def test_an_upload_that_changed_after_its_check_is_refused(vault: Vault, image: Image) -> None:
    vault.put(image)
    upload = vault.store.upload("pve1", "compta")
    (copy,) = vault.copies()
    upload.mkdir()
    for name in ("vda.raw", "vda.blocks", "guest.json"):
        (upload / name).write_bytes((copy.folder / name).read_bytes())
    with (upload / "vda.raw").open("r+b") as stream:
        first = stream.read(1)
        stream.seek(0)
        stream.write(bytes([first[0] ^ 1]))  # the image is random: any one byte may be there
    facts = {"disks": [{"name": "vda", "size": image.disk.size}], "ticket": "t"}
    (upload / "upload.json").write_text(json.dumps(facts))
    assert seal.seal_all(vault.config) == []
    assert vault.leftovers() == []
    assert len(vault.copies()) == 1


def test_a_hostile_upload_cannot_point_outside(vault: Vault, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(BLOCK))
    for name, target in (("vda.raw", secret), ("upload.json", secret)):
        upload = vault.store.upload("pve1", "compta")
        upload.mkdir()
        facts = {"disks": [{"name": "vda", "size": BLOCK}], "ticket": "t"}
        (upload / "upload.json").write_text(json.dumps(facts))
        (upload / "guest.json").write_text("{}")
        (upload / "vda.blocks").write_text(hashlib.sha256(bytes(BLOCK)).hexdigest() + "\n")
        (upload / name).unlink(missing_ok=True)
        (upload / name).symlink_to(target)
        assert seal.seal_all(vault.config) == []
    (vault.store.done / "pve1.link").symlink_to(tmp_path)
    (vault.store.done / "nobody.compta").mkdir()
    assert seal.seal_all(vault.config) == []
    assert vault.leftovers() == []
    assert secret.exists()
    assert list(vault.store.copies.rglob("*.raw")) == []


def test_a_seal_that_was_cut_is_ended_by_the_next_run(vault: Vault, image: Image) -> None:
    vault.put(image)
    (copy,) = vault.copies()
    unseal(copy.folder)
    flags.create_subvolume(vault.store.work / "pve1.compta.000002")
    assert not seal.is_sealed(copy)
    seal.recover(vault.config)
    assert seal.is_sealed(copy)
    assert verify(vault.store, copy) == []
    assert vault.leftovers() == []
