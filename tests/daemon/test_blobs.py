"""Blobs: stored once, whole or not at all, read back by parts or from their own file, bounded by a quota that spares what is needed."""

from __future__ import annotations

import hashlib
import mmap
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from gesso.errors import BlobMissing, InvalidRequest, ProtocolError, StorageFull, TooLarge
from gesso.wire.message import LIMITS

from .conftest import Make
from .talk import Daemon, Talk


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_what_was_uploaded_comes_back_and_is_stored_once(daemon: Daemon, talk: Talk) -> None:
    for size in (0, 1, LIMITS["payload_bytes"], LIMITS["payload_bytes"] * 2 + 5):
        data = os.urandom(size)
        sha256 = talk.upload(data)
        assert talk.blob(sha256) == data
        assert talk.ask("blob.have", sha256=[sha256, "0" * 64])["sha256"] == ["0" * 64]
        ready = talk.ask("blob.begin", size=size, sha256=sha256)
        assert (ready["done"], ready.get("upload")) == (True, None)
    header, payload = talk.answer(talk.post("blob.get", sha256=sha256, offset=3, length=4))
    assert (payload, header["size"]) == (data[3:7], len(data))
    assert talk.ask("status")["storage"]["blobs"] == 4


def test_parts_may_be_in_flight_together_but_come_in_order(talk: Talk) -> None:
    data = os.urandom(LIMITS["payload_bytes"] * 4)
    ready = talk.ask("blob.begin", size=len(data), sha256=digest(data))
    step = LIMITS["payload_bytes"]
    idents = [talk.post("blob.part", data[i : i + step], upload=ready["upload"], offset=i) for i in range(0, len(data), step)]
    answers = [talk.answer(ident)[0] for ident in idents]
    assert [answer["received"] for answer in answers] == [step, 2 * step, 3 * step, 4 * step]
    assert answers[-1]["sha256"] == digest(data)
    ready = talk.ask("blob.begin", size=5, sha256=digest(b"other"))
    with pytest.raises(InvalidRequest, match="begins at 0"):
        talk.ask("blob.part", b"er", upload=ready["upload"], offset=3)
    with pytest.raises(ProtocolError, match="no such upload"):
        talk.ask("blob.part", b"oth", upload=ready["upload"], offset=0)


def test_wrong_uploads_are_refused_and_leave_nothing(daemon: Daemon, talk: Talk) -> None:
    ready = talk.ask("blob.begin", size=5, sha256=digest(b"right"))
    with pytest.raises(InvalidRequest, match="another SHA-256"):
        talk.ask("blob.part", b"wrong", upload=ready["upload"], offset=0)
    ready = talk.ask("blob.begin", size=5, sha256=digest(b"right"))
    with pytest.raises(TooLarge):
        talk.ask("blob.part", b"right and more", upload=ready["upload"], offset=0)
    with pytest.raises(TooLarge):
        talk.ask("blob.begin", size=LIMITS["blob_bytes"] + 1, sha256=digest(b"right"))
    for bad in ("A" * 64, "../" + "0" * 61, "", "0" * 63):
        with pytest.raises(InvalidRequest):
            talk.ask("blob.begin", size=5, sha256=bad)
        with pytest.raises(InvalidRequest):
            talk.ask("blob.get", sha256=bad)
    with pytest.raises(BlobMissing):
        talk.ask("blob.get", sha256="0" * 64)
    assert not list(daemon.home.blobs.rglob("*"))


def test_a_file_is_taken_only_from_a_client_that_sees_the_same_files(daemon: Daemon, talk: Talk) -> None:
    data = os.urandom(3_000_000)
    nonce = Path(talk.welcome["nonce_file"]).read_text()
    assert digest(nonce.encode()) == talk.welcome["nonce_sha256"]
    assert talk.ask("blob.begin", size=3, sha256=digest(b"abc"), nonce="0" * 64).get("path") is None
    ready = talk.ask("blob.begin", size=len(data), sha256=digest(data), nonce=nonce)
    path = Path(ready["path"])
    assert path.parent == daemon.home.incoming
    path.write_bytes(data)
    assert talk.ask("blob.part", upload=ready["upload"], offset=len(data))["sha256"] == digest(data)
    assert not path.exists()
    assert talk.blob(digest(data)) == data


def test_the_front_alone_hashes_a_file_that_it_sees(daemon: Daemon, talk: Talk) -> None:
    data = os.urandom(3_000_000)
    nonce = Path(talk.welcome["nonce_file"]).read_text()
    for _ in range(2):  # the second time it is there already, which shows at the end
        ready = talk.ask("blob.begin", size=len(data), nonce=nonce)
        Path(ready["path"]).write_bytes(data)
        assert talk.ask("blob.part", upload=ready["upload"], offset=len(data))["sha256"] == digest(data)
        assert talk.blob(digest(data)) == data
        assert [path.name for path in daemon.home.blobs.rglob("*") if path.is_file()] == [digest(data)]
        assert not list(daemon.home.incoming.iterdir())
    with pytest.raises(ProtocolError) as missed:
        talk.ask("blob.begin", size=5)
    assert missed.value.field == "sha256"


@pytest.mark.skipif(sys.platform != "linux", reason="files are leased on Linux only")
def test_a_file_becomes_the_blob_itself_where_nobody_can_write_to_it_any_more(daemon: Daemon, talk: Talk) -> None:
    nonce = Path(talk.welcome["nonce_file"]).read_text()

    def bring(data: bytes, hold: Callable[[Path], object]) -> tuple[bool, object]:
        """Whether the blob is the very file that was written, and what holds the file open."""
        ready = talk.ask("blob.begin", size=len(data), nonce=nonce)
        path = Path(ready["path"])
        path.write_bytes(data)
        held, inode = hold(path), path.stat().st_ino
        assert talk.ask("blob.part", upload=ready["upload"], offset=len(data))["sha256"] == digest(data)
        assert not path.exists()
        return (daemon.home.blobs / digest(data)[:2] / digest(data)).stat().st_ino == inode, held

    def opened(path: Path) -> BinaryIO:
        return path.open("r+b")

    def mapped(path: Path) -> mmap.mmap:
        with path.open("r+b") as file:
            return mmap.mmap(file.fileno(), 0)

    def linked(path: Path) -> Path:
        other = path.with_name("other")
        other.hardlink_to(path)
        return other

    assert bring(os.urandom(1 << 20), lambda _: None)[0]
    for hold in (opened, mapped, linked):
        data = os.urandom(1 << 20)
        adopted, held = bring(data, hold)
        assert not adopted, hold.__name__
        if isinstance(held, Path):
            held.chmod(0o600)
            held.write_bytes(b"changed")
            held.unlink()
        else:
            held.write(b"changed")  # type: ignore[attr-defined]
            held.close()  # type: ignore[attr-defined]
        assert talk.blob(digest(data)) == data, hold.__name__
    assert daemon.is_alive()


def test_what_is_no_plain_file_is_not_taken(talk: Talk, tmp_path: Path) -> None:
    data = b"secret of the user"
    secret = tmp_path / "secret"
    secret.write_bytes(data)
    nonce = Path(talk.welcome["nonce_file"]).read_text()
    traps: dict[str, Callable[[Path], object]] = {
        "link": lambda path: path.symlink_to(secret),
        "fifo": os.mkfifo,
        "directory": Path.mkdir,
        "absent": lambda path: None,
        "short": lambda path: path.write_bytes(data[:-1]),
    }
    for name, lay in traps.items():
        ready = talk.ask("blob.begin", size=len(data), sha256=digest(data), nonce=nonce)
        lay(Path(ready["path"]))
        with pytest.raises(InvalidRequest):
            talk.ask("blob.part", upload=ready["upload"], offset=len(data))
        assert not os.path.lexists(ready["path"]), name
        assert talk.ask("blob.have", sha256=[digest(data)])["sha256"] == [digest(data)], name
    assert secret.read_bytes() == data


def test_the_quota_evicts_the_oldest_results_and_never_what_a_job_needs(make_daemon: Make, tmp_path: Path) -> None:
    daemon = make_daemon(settings={"storage.limit": 1_000_000}).start()
    gate = tmp_path / "gate"
    with daemon.talk() as talk:
        needed = talk.upload(os.urandom(200_000))
        holder = talk.submit(f"gate:{gate} fetch", params={"image": {"sha256": needed}})["job"]
        talk.event(holder, "started")
        results = [talk.run("unique:200000")["result"]["images"][0]["sha256"] for _ in range(6)]
        assert talk.ask("status")["storage"]["used"] <= 1_000_000
        missing = talk.ask("blob.have", sha256=[needed, *results])["sha256"]
        assert missing == results[:2]
        with pytest.raises(StorageFull):
            talk.ask("blob.begin", size=900_000, sha256="1" * 64)
        gate.touch()
        assert talk.end(holder)["type"] == "done"
        assert talk.run("unique:999000")["type"] == "done"
        failed = talk.run("unique:1100000")
        assert failed["error"]["code"] == "storage_full"


def test_an_upload_ends_with_its_connection_and_counts_against_the_quota(make_daemon: Make) -> None:
    daemon = make_daemon(settings={"storage.limit": 1_000_000}).start()
    with daemon.talk() as talk:
        ready = talk.ask("blob.begin", size=600_000, sha256="1" * 64)
        talk.ask("blob.begin", size=600_000, sha256="2" * 64)
        talk.ask("blob.part", bytes(599_999), upload=ready["upload"], offset=0)
        with pytest.raises(StorageFull):
            talk.ask("blob.begin", size=600_000, sha256="3" * 64)
        talk.ask("hello", client="again", version="0", protocol=[1])
        assert talk.ask("blob.begin", size=600_000, sha256="2" * 64)["done"] is False


def test_orphans_and_lost_files_are_reconciled_at_the_next_start(make_daemon: Make) -> None:
    daemon = make_daemon().start()
    with daemon.talk() as talk:
        kept, lost = talk.upload(b"kept"), talk.upload(b"lost")
    daemon.stop()
    (daemon.home.blobs / lost[:2] / lost).unlink()
    orphan = digest(b"orphan")
    (daemon.home.blobs / orphan[:2]).mkdir(exist_ok=True)
    (daemon.home.blobs / orphan[:2] / orphan).write_bytes(b"orphan")
    (daemon.home.blobs / ".tmp-left").write_bytes(b"half")
    (daemon.home.incoming / "left").write_bytes(b"half")
    daemon.start()
    with daemon.talk() as talk:
        while (daemon.home.blobs / orphan[:2] / orphan).exists() or lost not in talk.ask("blob.have", sha256=[kept, lost])["sha256"]:
            time.sleep(0.01)
        assert talk.ask("blob.have", sha256=[kept, lost])["sha256"] == [lost]
        assert talk.blob(kept) == b"kept"
    assert not list(daemon.home.blobs.glob(".tmp-*"))
    assert not list(daemon.home.incoming.iterdir())
