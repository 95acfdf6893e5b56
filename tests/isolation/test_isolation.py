"""Isolated plugins as their owner meets them: real distributions with pins that contradict one another, real environments made by pip, a
real daemon, and processes that die, hang, leak and flood.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import end_all, processes_of
from tests.isolation.projects import PLUGIN, Desk, library, pinned, pip, plugin

pytestmark = [pytest.mark.examples, pytest.mark.timeout(400)]

SAMPLED = ("generate", "moss", "--model", "starter", "--size", "64", "--steps", "4", "--seed", "3")
PLUGINS = {"warm": pinned("1.0"), "cold": pinned("2.0"), "plain": "", "lost": pinned("9.0"), "sly": 'isolation = "venv"'}
SLY = "import os, sys\nif 'gesso.plugin.check' not in str(sys.orig_argv): os._exit(7)\n"
LIMIT = "8"  # seconds, for a machine that does other things too


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """`warm` and `cold` pin versions 1 and 2 of one library; `plain` is `warm` without isolation; `lost` pins what nobody has."""
    home = Path(tempfile.mkdtemp(prefix="gesso-", dir="/tmp"))
    folder = tmp_path_factory.mktemp("desk")
    site, wheels = folder / "site", folder / "wheels"
    library(folder, wheels, "1.0", 1)
    library(folder, wheels, "2.0", 2)
    pip("install", "--target", str(site), str(folder / "tintlib-1.0"), folder=folder)
    for name, isolation in PLUGINS.items():
        plugin(folder, site, name, isolation, (SLY if name == "sly" else "") + PLUGIN)
    desk = Desk(home, folder, site, wheels)
    desk.environ["GESSO_ISOLATION_SECONDS"] = LIMIT
    for name in ("warm", "cold", "plain"):
        enabled = desk.run("plugins", "enable", name)
        assert enabled.returncode == 0, enabled.stderr
    yield desk
    desk.run("stop")
    end_all(home)
    shutil.rmtree(home, ignore_errors=True)


def workers(desk: Desk) -> tuple[int, int]:
    """The processes of front and worker."""
    status = desk.json("status")
    return status["pid"], status["workers"][0]["pid"]


def until(true: Callable[[], object], patience: float = 60.0) -> None:
    deadline = time.monotonic() + patience
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_pins_that_contradict_one_another_work_side_by_side(desk: Desk) -> None:
    both = [desk.begin(f"{name}.swatch", "moss", "--seed", "3", "-o", f"{name}.png", "--force") for name in ("warm", "cold")]
    assert [desk.ended(begun) for begun in both] == [0, 0]
    made = {name: desk.pixels(f"{name}.swatch", "moss", "--seed", "3", "-o", f"{name}/") for name in ("warm", "cold", "plain")}
    assert (made["warm"][0, 0, 0, 0], made["cold"][0, 0, 0, 0]) == (1, 2), "each sees the version that it pins"
    assert np.array_equal(made["warm"], made["plain"])
    assert np.array_equal(made["warm"][:, 8:], made["cold"][:, 8:])


def test_an_isolated_sampler_gives_the_bytes_of_the_same_one_unisolated(desk: Desk) -> None:
    made = {}
    for name in ("warm", "plain", "cold"):
        words = ("--sampler", f"{name}.st", "--schedule", f"{name}.halving", "-n", "2", "-o", f"{name}-sampled/")
        made[name] = desk.pixels(*SAMPLED, *words)
    assert made["warm"].shape[0] == 2
    assert np.array_equal(made["warm"], made["plain"])
    assert not np.array_equal(made["warm"], made["cold"]), "the version of the library shows"
    assert not np.array_equal(made["warm"][0], made["warm"][1])


def test_everything_that_an_operation_uses_crosses(desk: Desk) -> None:
    made = desk.json("warm.swatch", "brick", "--seed", "5", "-o", "crossed/")
    assert made["warnings"] == ["the library is 1.0", "emitted"]
    recipe = desk.json("show", made["results"][0]["path"])
    assert "brick procedural" in str(recipe)
    refused = desk.error("warm.swatch", "wrong", "-o", "x/")
    assert (refused["code"], refused["field"], refused["message"]) == ("invalid", "prompt", "That is no material.")
    worker = workers(desk)[1]
    assert desk.notes("host"), "host functions ran"
    assert worker not in desk.notes("host")[-1:], "but not in the worker"


SAID = {
    "raise": ("plugin", "failed with ZeroDivisionError"),
    "exit": ("plugin", "failed with SystemExit: 3"),
    "die": ("plugin", "The process of the plugin 'warm' ended with exit status 7"),
    "abort": ("plugin", "The process of the plugin 'warm' was ended by SIGABRT"),
    "loop": ("plugin", f"The process of the plugin 'warm' did not answer within {LIMIT} seconds and was ended"),
    "leak": ("leaked_state", "changed default dtype and torch's global random numbers"),
}


def test_mischief_in_an_operation_costs_that_job_alone(desk: Desk) -> None:
    before = workers(desk)
    beside = desk.begin(*SAMPLED[:-4], "--steps", "400", "--seed", "3", "--sampler", "warm.steady", "-o", "beside/")
    for mischief, (code, sentence) in SAID.items():
        error = desk.error("warm.swatch", "moss", "--mischief", mischief, "-o", "x/")
        assert (error["code"], error.get("details", {}).get("plugin")) == (code, "warm"), mischief
        assert sentence in error["message"]
        assert desk.run("warm.swatch", "moss", "-o", f"after-{mischief}/").returncode == 0
    assert desk.ended(beside) == 0, "the job beside them went on"
    assert workers(desk) == before


def test_mischief_in_a_sampler_costs_that_job_alone(desk: Desk) -> None:
    before = workers(desk)
    wild = (*SAMPLED, "--sampler", "warm.wild")
    for mischief, (_, sentence) in SAID.items():
        (desk.home / "mischief").write_text(mischief)
        error = desk.error(*wild, "-o", "x/")
        assert "warm" in error["message"]
        assert sentence in error["message"]
    (desk.home / "mischief").write_text("flood")
    assert desk.run(*wild, "-o", "flooded/").returncode == 0
    until(lambda: sum(path.stat().st_size for path in (desk.home / "logs").iterdir()) < 32 << 20)
    (desk.home / "mischief").write_text("")
    assert desk.run(*wild, "-o", "tame/").returncode == 0
    assert workers(desk) == before
    assert desk.notes("closed")[-1] not in workers(desk)


def test_cancelling_runs_the_finally_over_there(desk: Desk) -> None:
    begun = len(desk.notes("begun"))
    job = desk.json(*SAMPLED[:-4], "--steps", "900", "--sampler", "warm.steady", "--detach")["job"]
    until(lambda: len(desk.notes("begun")) > begun)  # a job that runs may still be loading its model
    closed = len(desk.notes("closed"))
    assert desk.run("jobs", "cancel", job).returncode == 0
    until(lambda: len(desk.notes("closed")) == closed + 1)
    until(lambda: gone(desk.notes("closed")[-1]), 20)


def test_other_jobs_go_on_while_a_step_hangs_and_cancelling_it_waits_for_nothing(desk: Desk) -> None:
    """The step would be waited for a whole minute; all of this happens within it."""
    desk.run("stop")
    (desk.home / "mischief").write_text("loop")
    stuck = [(*SAMPLED, "--sampler", "warm.wild"), *((f"{name}.swatch", "moss", "--mischief", "loop") for name in ("warm", "cold"))]
    began = [desk.run(*words, "--detach", "--json", GESSO_ISOLATION_SECONDS="60") for words in stuck]
    jobs = [json.loads(done.stdout)["job"] for done in began]

    def states() -> list[str]:
        return [desk.json("jobs", "show", job)["state"] for job in jobs]

    until(lambda: states() == ["running"] * 3)
    made = desk.json(*SAMPLED, "--sampler", "euler", "-o", "beside-stuck/")
    other = desk.json(*SAMPLED, "--sampler", "warm.steady", "-o", "beside-stuck/", "--force")
    assert len(made["results"]) == len(other["results"]) == 1
    assert states() == ["running"] * 3
    assert [desk.run("jobs", "cancel", job).returncode for job in jobs] == [0] * 3
    until(lambda: states() == ["cancelled"] * 3, 30)
    assert desk.run(*SAMPLED, "--sampler", "warm.steady", "-o", "after-stuck/").returncode == 0
    (desk.home / "mischief").write_text("")
    desk.run("stop")


def test_a_job_outlives_its_worker_and_its_plugins_process(desk: Desk) -> None:
    """Both are killed in the middle; the job is run again, and its bytes are those of a job that nobody disturbed."""
    words = (*SAMPLED[:-4], "--steps", "120", "--seed", "9", "--sampler", "warm.steady")
    calm = desk.pixels(*words, "-o", "calm/")
    job = desk.json(*words, "--detach")["job"]
    until(lambda: desk.json("jobs", "show", job)["state"] == "running")
    time.sleep(0.5)
    os.kill(workers(desk)[1], signal.SIGKILL)
    desk.json("jobs", "wait", job)
    fetched = desk.run("jobs", "fetch", job, "-o", "disturbed/")
    assert fetched.returncode == 0, fetched.stderr
    again = desk.pixels("generate", "--from", str(next((desk.folder / "disturbed").glob("*.png"))), "-o", "again/")
    assert np.array_equal(calm, again)


def test_what_an_isolated_plugin_asks_for_is_shown(desk: Desk) -> None:
    for name, requires in (("warm", ["tintlib==1.0"]), ("lost", ["tintlib==9.0"]), ("plain", [])):
        found = desk.json("plugins", "info", name)
        assert (found["isolation"], found["requires"]) == ("venv" if requires else "none", requires)


def test_a_pin_that_pip_cannot_satisfy_is_said_and_leaves_nothing(desk: Desk) -> None:
    error = desk.error("plugins", "enable", "lost")
    assert error["code"] == "plugin"
    assert "pip could not install tintlib==9.0 for the plugin 'lost'" in error["message"]
    assert "No matching distribution found for tintlib==9.0" in error["message"]
    assert list((desk.home / "plugins").glob("lost*")) == []
    assert "lost" not in (desk.home / "plugins/plugins.json").read_text()


def test_an_environment_that_is_gone_is_said(desk: Desk) -> None:
    desk.run("stop")
    (place,) = (desk.home / "plugins").glob("cold.env-*")
    shutil.rmtree(place)
    error = desk.error("cold.swatch", "moss", "-o", "x/")
    assert (error["code"], error["details"]["plugin"]) == ("plugin", "cold")
    assert "`gesso plugins enable cold` makes its environment anew" in error["hint"]
    assert desk.run("warm.swatch", "moss", "-o", "y/").returncode == 0
    worker = workers(desk)
    enabled = desk.run("plugins", "enable", "cold")
    assert enabled.returncode == 0, enabled.stderr
    until(lambda: desk.run("cold.swatch", "moss", "-o", "back/").returncode == 0)
    assert workers(desk) == worker


def test_an_isolated_plugin_that_ends_at_import_fails_its_own_jobs(desk: Desk) -> None:
    enabled = desk.run("plugins", "enable", "sly")
    assert enabled.returncode == 0, enabled.stderr
    before = workers(desk)
    error = desk.error("sly.swatch", "moss", "-o", "x/")
    assert error["message"] == "The isolated plugin 'sly' ended with exit status 7 while it was imported."
    assert desk.run("warm.swatch", "moss", "-o", "beside-sly/").returncode == 0
    assert workers(desk) == before
    assert desk.json("plugins", "remove", "sly")["state"] == "removed"
    assert list((desk.home / "plugins").glob("sly*")) == []


def test_hook_calls_of_isolated_plugins_are_traced(desk: Desk) -> None:
    desk.run("stop")
    done = desk.run("warm.swatch", "moss", "-o", "traced/", GESSO_TRACE_PLUGINS="1")
    assert done.returncode == 0, done.stderr
    log = desk.home / "logs/worker.log"
    for said in ("gesso_operations: warm: 1 in ", "gesso_samplers: cold: 2 in "):
        until(lambda said=said: f"gesso: {said}" in log.read_text())  # each isolated plugin loads at its own pace


def test_what_is_turned_off_leaves_no_process(desk: Desk) -> None:
    def servers() -> list[bytes]:
        lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in processes_of(desk.home)]
        return [line for line in lines if b"gesso.isolation.process" in line and b"\0cold\0" in line]

    assert desk.run("cold.swatch", "moss", "-o", "last/").returncode == 0
    assert len(servers()) == 1
    assert desk.json("plugins", "disable", "cold")["state"] == "off"
    until(lambda: servers() == [])
    assert desk.run("warm.swatch", "moss", "-o", "beside-off/").returncode == 0
