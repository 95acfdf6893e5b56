"""Run inside a mount namespace of its own: puts a daemon's whole state on a real tmpfs of so many KiB and lets it fill up, then makes
room and sees that everything goes on. Prints its figures as JSON; an assertion that fails is its exit status.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from gesso.errors import StorageFull

from .talk import Daemon, Talk

PATIENCE = 30.0


def fill(path: Path) -> int:
    """Take every byte that is left, down to the last page; how many somebody else holds then."""
    with path.open("ab", buffering=0) as file:
        for piece in (64 << 10, 4096, 512):
            try:
                while file.write(bytes(piece)) == piece:
                    pass
            except OSError:
                continue
    return path.stat().st_size


def until_full(talk: Talk, kib: int) -> tuple[list[str], dict[str, Any]]:
    """Submit until the daemon refuses; (what it had accepted, the ends)."""
    accepted: list[str] = []
    ends: dict[str, Any] = {}
    for number in range(2000):
        try:
            job = talk.submit(f"unique:{kib * 20}", key=f"key {number}", params={"seed": 1, "options": {"x": "y" * kib}})["job"]
        except StorageFull:
            return accepted, ends
        accepted.append(job)
        try:
            ends[job] = talk.end(job, timeout=2.0)
        except TimeoutError:
            return accepted, ends  # its end waits for room
        if ends[job]["type"] == "failed":
            assert ends[job]["error"]["code"] == "storage_full", ends[job]
            return accepted, ends
    raise AssertionError("the disk never became full")


def heals(talk: Talk, key: str) -> None:
    """A new job is accepted and done, at the latest after a while."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            done = talk.end(talk.submit("unique:64", key=f"{key} {time.monotonic()}")["job"], PATIENCE)
        except StorageFull:
            assert time.monotonic() < deadline, "it does not heal"
            time.sleep(0.1)
            continue
        if done["type"] == "done":
            return
        assert done["error"]["code"] == "storage_full"
        assert time.monotonic() < deadline, "it does not heal"


def check(talk: Talk, accepted: list[str], ends: dict[str, Any]) -> dict[str, int]:
    """Every accepted job has one end, the one that was told; a result that was told can be fetched or was evicted, never torn."""
    count = {"done": 0, "failed": 0}
    for job in accepted:
        end = talk.ask("attach", job=job)["snapshot"]["terminal"] or talk.end(job, PATIENCE)
        count[end["type"]] += 1
        assert end["type"] == "done" or end["error"]["code"] == "storage_full", end
        assert job not in ends or (ends[job]["type"], ends[job].get("result")) == (end["type"], end.get("result"))
    return count


def main() -> None:
    root, kib = Path(sys.argv[1]), int(sys.argv[2])
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k,mode=0700", "tmpfs", str(root)], check=True)
    daemon = Daemon(root, {"GESSO_HOME": str(root)}, settings={"storage.reserve": kib << 8, "logs.size": 64 << 10, "logs.files": 1})
    daemon.start()
    filler = root / "somebody-elses-file"
    try:
        with daemon.talk() as talk:
            talk.run("image:64")
            filler.write_bytes(bytes(kib * 400))
            accepted, ends = until_full(talk, kib)
            taken = fill(filler)
            for number in range(3):
                with contextlib.suppress(StorageFull):
                    accepted.append(talk.submit("unique:4000", key=f"full {number}")["job"])
            assert talk.ask("ping")["type"] == "pong"
            assert talk.ask("status")["pid"] == daemon.live.pid
            filler.unlink()
            heals(talk, "after")
            count = check(talk, accepted, ends)
            fill(filler)
        daemon.kill()  # while not a byte is free
        filler.unlink()
        daemon.start()
        with daemon.talk() as talk:
            again = check(talk, accepted, ends)
            assert again == count
            heals(talk, "restarted")
        daemon.stop()
        with sqlite3.connect(daemon.home.journal) as db:
            assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        print(json.dumps({"kib": kib, "accepted": len(accepted), **count, "filled": taken}))
    finally:
        if daemon.live.poll() is None:
            daemon.live.kill()
            daemon.live.wait()
        log = daemon.home.daemon_log
        if sys.exc_info()[0] is not None and log.exists():
            print(log.read_text()[-3000:], file=sys.stderr)


if __name__ == "__main__":
    main()
