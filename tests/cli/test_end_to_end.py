"""The whole thing as a user runs it: real processes, a real daemon, real pictures, real signals."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from .desk import Desk

FIRST = ("generate", "mossy grey cobblestone", "--model", "procedural", "--seed", "7", "--size", "64", "--tile", "xy")
SAMPLED = ("generate", "grey cobblestone", "--model", "starter", "--seed", "3", "--size", "64", "--steps", "4", "--tile", "xy")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One daemon for the module; the first command that needs it has started it."""
    home = Path(tempfile.mkdtemp(prefix="gesso-", dir="/tmp"))
    found = Desk(home, tmp_path_factory.mktemp("desk"))
    done = found.run(*FIRST, "-o", "first/")
    assert done.returncode == 0, done.stderr
    assert "starting one" in done.stderr, "a command that starts the daemon says so"
    yield found
    found.run("stop")
    for entry in sorted(home.rglob("*"), reverse=True):
        entry.rmdir() if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    home.rmdir()


@pytest.fixture
def other(tmp_path: Path, home: Path) -> Desk:
    """Another user with no daemon yet; what it starts ends with the test."""
    return Desk(home, tmp_path)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pictures(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_picture_is_named_after_prompt_seed_and_number(desk: Desk) -> None:
    assert pictures(desk.folder / "first") == ["mossy-grey-cobblestone-7-1.png"]


def test_json_tells_where_everything_is(desk: Desk) -> None:
    told = desk.json(*FIRST, "-n", "2", "-o", "two/")
    assert [Path(path).name for path in told["images"]] == ["mossy-grey-cobblestone-7-1.png", "mossy-grey-cobblestone-8-2.png"]
    assert [(result["seed"], result["width"], result["height"]) for result in told["results"]] == [(7, 64, 64), (8, 64, 64)]
    assert all(digest(desk.folder / result["path"]) == result["sha256"] for result in told["results"])
    assert told["level"] == "exact"
    assert told["seed"] == 7
    assert told["job"]
    assert told["warnings"] == []


def test_the_same_seed_gives_the_same_bytes_in_a_fresh_daemon(desk: Desk, other: Desk) -> None:
    done = other.run(*FIRST, "-o", "again/")
    assert done.returncode == 0, done.stderr
    assert digest(other.folder / "again/mossy-grey-cobblestone-7-1.png") == digest(desk.folder / "first/mossy-grey-cobblestone-7-1.png")


def test_from_makes_the_same_bytes_again(desk: Desk) -> None:
    first = desk.folder / "first/mossy-grey-cobblestone-7-1.png"
    assert desk.json("generate", "--from", str(first), "-o", "from.png")["warnings"] == []
    assert digest(desk.folder / "from.png") == digest(first)
    assert desk.run("generate", "--from", str(first), "--seed", "8", "-o", "other.png").returncode == 0
    assert digest(desk.folder / "other.png") != digest(first)


def test_from_says_so_where_the_bytes_cannot_be_compared(desk: Desk) -> None:
    first = (desk.folder / "first/mossy-grey-cobblestone-7-1.png").read_bytes()
    (desk.folder / "elsewhere.png").write_bytes(with_text(first, '"torch":"', '"torch":"0.0.'))
    (warning,) = desk.json("generate", "--from", "elsewhere.png", "-o", "here.png")["warnings"]
    assert "another torch" in warning
    assert "not comparable" in warning


def with_text(png: bytes, old: str, new: str) -> bytes:
    """The picture with a change in its text chunks, lengths and checksums put right."""
    parts, at = [png[:8]], 8
    while at < len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        if kind in (b"tEXt", b"iTXt"):
            body = body.replace(old.encode(), new.encode())
        parts.append(len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big"))
        at += 12 + length
    return b"".join(parts)


def test_the_starter_runs_through_the_sampler_and_from_repeats_it(desk: Desk) -> None:
    told = desk.json(*SAMPLED, "--sampler", "euler", "-o", "sampled.png")
    assert desk.run("generate", "--from", "sampled.png", "-o", "sampled-again.png").returncode == 0
    assert digest(desk.folder / "sampled-again.png") == digest(desk.folder / "sampled.png")
    shown = desk.json("show", told["images"][0])["recipe"]
    assert shown["params"]["sampler"] == "euler"
    assert shown["params"]["steps"] == 4
    assert len(shown["model_digest"]) == 64


def test_texture_writes_six_files_into_a_folder_or_refuses_at_once(desk: Desk) -> None:
    told = desk.json("texture", "worn red brick", "--size", "64", "--seed", "5", "-o", "maps/")
    assert pictures(desk.folder / "maps") == sorted(Path(path).name for path in told["images"])
    assert (len(told["images"]), Path(told["images"][2]).name) == (6, "worn-red-brick-5-1-normal.png")
    before = desk.json("jobs", "list")["jobs"]
    assert desk.error("texture", "brick", "-o", "one.png")[1]["field"] == "output"
    assert desk.json("jobs", "list")["jobs"] == before
    assert desk.json("texture", "--image", told["images"][0], "--no-maps", "-o", "one.png")["images"] == ["one.png"]


def test_a_warning_is_said_once(desk: Desk) -> None:
    words = ("generate", "spaceship brick", "--model", "procedural", "--seed", "1", "--size", "64", "-o", "warned.png")
    done = desk.run(*words)
    assert done.returncode == 0
    assert done.stderr.count('The word "spaceship" is not known') == 1
    assert len(desk.json(*words, "--force")["warnings"]) == 1


def test_show_prints_the_recipe(desk: Desk) -> None:
    done = desk.run("show", "first/mossy-grey-cobblestone-7-1.png")
    assert done.returncode == 0
    assert "mossy grey cobblestone" in done.stdout
    recipe = desk.json("show", "first/mossy-grey-cobblestone-7-1.png")["recipe"]
    assert recipe["operation"] == "generate"
    assert recipe["params"]["seed"] == 7


def test_show_prints_several_recipes_each_under_its_name(desk: Desk) -> None:
    names = ["first/mossy-grey-cobblestone-7-1.png", "copied.png"]
    shutil.copy(desk.folder / names[0], desk.folder / names[1])
    done = desk.run("show", *names)
    assert done.returncode == 0
    assert [line for line in done.stdout.splitlines() if line.endswith(".png")] == names
    assert [shown["recipe"]["params"]["seed"] for shown in desk.json("show", *names)["pictures"]] == [7, 7]


BAD: Sequence[tuple[tuple[str, ...], int, str, str | None]] = (
    (("generate", "moss", "--model", "procedurl"), 2, "invalid", "model"),
    (("generate", "moss", "--model", "starter", "--sampler", "eular"), 2, "invalid", "sampler"),
    (("generate", "moss", "--schedule", "karas"), 2, "invalid", "schedule"),
    (("generate", "moss", "--size", "0"), 2, "invalid", "width"),
    (("generate", "moss", "--size", "99999"), 2, "invalid", "width"),
    (("generate", "moss", "--steps", "0"), 2, "invalid", "steps"),
    (("generate", "moss", "--guidance", "nan"), 2, "invalid", "guidance"),
    (("generate", "moss", "--tile", "diagonal"), 2, "invalid", "tile"),
    (("generate", ""), 2, "invalid", "prompt"),
    (("generate", "   "), 2, "invalid", "prompt"),
    (("generate", "moss " * 20_000), 2, "invalid", "prompt"),
    (("generate", "moss", "-n", "0"), 2, "invalid", "count"),
    (("generate", "moss", "--seed", "-1"), 2, "invalid", "seed"),
    (("generate", "moss", "--image", "nothing.png"), 2, "invalid", "image"),
    (("generate",), 2, "usage", "prompt"),
    (("generate", "moss", "--nonsense"), 2, "usage", None),
    (("generate", "moss", "--guid", "3"), 2, "usage", None),
    (("generate", "moss", "-n", "2", "-o", "one.png"), 2, "usage", "output"),
    (("generate", "moss", "-o", "/proc/nowhere/x.png"), 1, "output", "output"),
    (("generate", "moss", "-o", "missing/x.png"), 1, "output", "output"),
    (("generate", "--from", "nothing.png"), 2, "invalid", None),
    (("generate", "first/mossy-grey-cobblestone-7-1.png"), 2, "usage", "prompt"),
    (("edit", "moss", "first/mossy-grey-cobblestone-7-1.png"), 2, "usage", "prompt"),
    (("vary", "first/mossy-grey-cobblestone-7-1.png", "-o", "one.png"), 2, "usage", "output"),
    (("rerank", "moss", "first/mossy-grey-cobblestone-7-1.png", "first/text.png"), 2, "invalid", "images.1"),
    (("jobs", "show", "nothing"), 1, "unknown_job", None),
    (("jobs", "cancel", "nothing"), 1, "unknown_job", None),
    (("jobs", "result", "nothing"), 1, "unknown_job", None),
    (("show", "nothing.png"), 2, "invalid", None),
    (("generat", "moss"), 2, "usage", None),
)


@pytest.mark.parametrize(("words", "code", "name", "field"), BAD, ids=[" ".join(row[0])[:40] for row in BAD])
def test_bad_input_is_one_line_with_its_field(desk: Desk, words: tuple[str, ...], code: int, name: str, field: str | None) -> None:
    (desk.folder / "first/text.png").write_text("no picture")
    found, error = desk.error(*words)
    assert (found, error["code"]) == (code, name), error
    assert field != "images.1" or error["hint"].startswith("That is first/text.png.")
    if field is not None:
        assert error["field"] == field


@pytest.mark.parametrize("words", [BAD[0][0], BAD[4][0], BAD[6][0], BAD[17][0], BAD[18][0]], ids=lambda words: words[-1])
def test_for_a_person_it_is_one_line_on_standard_error(desk: Desk, words: tuple[str, ...]) -> None:
    done = desk.run(*words)
    assert done.returncode in (1, 2)
    assert done.stdout == ""
    assert done.stderr.startswith("gesso: ")
    assert done.stderr.count("\n") == 1


def test_a_wrong_name_is_answered_with_the_nearest(desk: Desk) -> None:
    _, error = desk.error("generate", "moss", "--model", "starter", "--sampler", "eular")
    assert "euler" in error["message"] + error.get("hint", "")


def test_a_wrong_number_is_answered_with_what_is_allowed(desk: Desk) -> None:
    _, error = desk.error("generate", "moss", "--size", "99999")
    assert "8192" in error["message"] + error.get("hint", "")


def test_after_all_that_the_same_daemon_still_serves(desk: Desk) -> None:
    before = desk.json("status")["pid"]
    desk.error("generate", "moss", "--steps", "0")
    assert desk.json(*FIRST, "-o", "still.png")["images"] == ["still.png"]
    assert desk.json("status")["pid"] == before


def test_nothing_is_overwritten_without_force(desk: Desk) -> None:
    assert desk.run(*FIRST, "-o", "keep.png").returncode == 0
    (desk.folder / "keep.png").write_bytes(b"mine")
    code, error = desk.error(*FIRST, "-o", "keep.png")
    assert (code, error["code"]) == (1, "output")
    assert (desk.folder / "keep.png").read_bytes() == b"mine"
    assert desk.run(*FIRST, "-o", "keep.png", "--force").returncode == 0
    assert (desk.folder / "keep.png").read_bytes().startswith(b"\x89PNG")


def test_a_detached_job_is_fetched_later(desk: Desk) -> None:
    job = desk.run(*FIRST, "--detach").stdout.strip()
    assert desk.run("jobs", "wait", job).returncode == 0
    assert desk.state(job) == "done"
    told = desk.json("jobs", "fetch", job, "-o", "fetched/")
    assert [Path(path).name for path in told["images"]] == ["mossy-grey-cobblestone-7-1.png"]
    assert digest(desk.folder / told["images"][0]) == digest(desk.folder / "first/mossy-grey-cobblestone-7-1.png")
    assert job in [entry["job"] for entry in desk.json("jobs", "list")["jobs"]]


def test_the_first_ctrl_c_cancels_the_job_and_not_the_daemon(desk: Desk) -> None:
    daemon = desk.json("status")["pid"]
    process = desk.start("generate", "grey granite", "--model", "procedural", "--size", "1024", "-n", "100", "-o", "many/")
    assert process.stderr is not None
    for line in process.stderr:
        if "started" in line:
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "cancel" in err
    assert out == ""
    assert pictures(desk.folder / "many") == []
    newest = desk.json("jobs", "list", "--limit", "1")["jobs"][0]
    assert newest["state"] == "cancelled"
    assert desk.json("status")["pid"] == daemon


def test_a_cancelled_job_ends_for_who_waits_for_it(desk: Desk) -> None:
    job = desk.run("generate", "grey granite", "--model", "procedural", "--size", "1024", "-n", "100", "--detach").stdout.strip()
    assert desk.run("jobs", "cancel", job).returncode == 0
    assert desk.run("jobs", "wait", job).returncode == 130
    assert desk.state(job) == "cancelled"


def test_commands_that_only_ask_never_start_a_daemon(other: Desk) -> None:
    for words in (("status",), ("stop",), ("jobs", "list"), ("jobs", "wait", "x")):
        code, error = other.error(*words)
        assert (code, error["code"]) == (1, "unreachable")
    assert not (other.home / "run/daemon.json").exists()


def test_a_stale_daemon_file_is_no_obstacle(other: Desk) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    run = other.home / "run"
    run.mkdir(mode=0o700)
    stale = {"protocol": 1, "version": "0.1.0", "pid": dead.pid, "ipc": f"ipc://{run}/front.sock", "tcp": None, "token": None}
    (run / "daemon.json").write_text(json.dumps(stale), encoding="utf-8")
    (run / "daemon.json").chmod(0o600)
    assert other.error("status")[1]["code"] == "unreachable"
    assert "left over" in other.run("doctor").stdout
    done = other.run(*FIRST, "-o", "a.png")
    assert done.returncode == 0, done.stderr
    assert other.json("status")["pid"] != dead.pid


def test_a_daemon_of_another_protocol_is_told_apart(other: Desk) -> None:
    run = other.home / "run"
    run.mkdir(mode=0o700)
    newer = {"protocol": 99, "version": "9.0.0", "pid": os.getpid(), "ipc": f"ipc://{run}/front.sock", "tcp": None, "token": None}
    (run / "daemon.json").write_text(json.dumps(newer), encoding="utf-8")
    (run / "daemon.json").chmod(0o600)
    code, error = other.error("status")
    assert (code, error["code"]) == (1, "version_mismatch")
    assert "9.0.0" in error["message"]


def test_serve_refuses_a_second_daemon_and_stop_ends_the_first(other: Desk) -> None:
    assert other.run("serve", "--detach").returncode == 0
    pid = other.json("status")["pid"]
    code, error = other.error("serve")
    assert (code, error["code"]) == (1, "already_running")
    assert other.run("stop").returncode == 0
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()
    assert other.run("status").returncode == 1


def test_doctor_finds_nothing_wrong_with_a_running_daemon(desk: Desk) -> None:
    told = desk.json("doctor")
    assert told["problems"] == 0
    assert {"python", "sqlite", "libzmq", "disk", "state", "daemon", "device"} <= {finding["check"] for finding in told["findings"]}


def test_doctor_names_the_fix_for_an_open_state_directory(other: Desk) -> None:
    (other.home / "run").mkdir(mode=0o755)
    (other.home / "run").chmod(0o755)
    done = other.run("doctor", "--json")
    assert done.returncode == 1
    problem = next(finding for finding in json.loads(done.stdout)["findings"] if finding["state"] == "problem")
    assert "chmod" in problem["fix"]


def test_the_demo_leaves_three_textures(desk: Desk) -> None:
    done = desk.run("demo", "--no-open")
    assert done.returncode == 0, done.stderr
    assert len(pictures(desk.folder / "gesso-demo")) == 3
    assert desk.run("demo", "--no-open", "--json").returncode == 0, "a second time is no mistake"


def test_a_job_is_retried_pinned_and_forgotten(desk: Desk) -> None:
    told = desk.json(*FIRST, "-o", "life/")
    again = desk.json("jobs", "retry", told["job"], "-o", "again/")
    assert again["job"] != told["job"]
    assert again["results"][0]["sha256"] == told["results"][0]["sha256"]
    detached = desk.run("jobs", "retry", told["job"], "--detach")
    assert detached.returncode == 0
    job = detached.stdout.strip()
    desk.json("jobs", "wait", job)
    desk.json("jobs", "pin", job)
    shown = desk.run("jobs", "show", job).stdout
    assert re.search(r"^pinned +yes$", shown, re.MULTILINE)
    assert re.search(r"^pictures +1, \d", shown, re.MULTILINE)
    assert desk.json("jobs", "result", job, "-o", "fetched-again/")["results"][0]["sha256"] == told["results"][0]["sha256"]
    assert desk.json("jobs", "forget", job, again["job"]) == {"forgotten": [job, again["job"]]}
    assert desk.error("jobs", "show", job)[1]["code"] == "unknown_job"
    assert desk.json("jobs", "result", told["job"], "-o", "still-there/")["results"][0]["sha256"] == told["results"][0]["sha256"]


def test_storage_tells_where_everything_is_and_sets_the_cap(desk: Desk) -> None:
    told = desk.json("storage", "--limit", "3GiB", "--keep", "never")
    assert (told["limit"], told["keep"]) == (3 << 30, None)
    sizes = {place["name"]: place["size"] for place in told["places"]}
    assert sizes["pictures"] > 1000
    assert sizes["journal"] > 4096
    assert told["daemon"]["blobs"] >= 1
    assert told["daemon"]["used"] == sizes["pictures"]
    text = desk.run("storage").stdout
    assert str(desk.home / "blobs") in text
    assert "3 GiB" in text
    assert "kept for never" not in text
    while desk.json("status")["storage"]["limit"] != 3 << 30:
        time.sleep(0.1)
    assert desk.error("storage", "--limit", "lots")[0] == 2
