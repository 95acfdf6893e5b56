"""The real front with the real worker and a tiny latent model that crashes, hangs or runs out of memory in each phase of a job."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.plugins.conftest import build_pipeline

from ..conftest import end_all
from .talk import Daemon, Talk

pytestmark = [pytest.mark.reliability, pytest.mark.timeout(300)]
CAT = {"prompt": "a red cat", "model": "tiny", "seed": 5, "width": 32, "height": 32, "steps": 4, "sampler": "euler", "guidance": 4.0}
SLOWEST = 120.0


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model's directory."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return build_pipeline(tmp_path_factory.mktemp("models"))


@contextmanager
def serving(tiny: Path, **settings: Any) -> Iterator[Daemon]:
    """A front whose workers obey a file."""
    root = Path(tempfile.mkdtemp(prefix="gesso-", dir="/tmp"))
    found = Daemon(root, {"GESSO_TEST_DEATH": str(root / "death")}, worker="mortal_worker.py", settings=settings)
    found.home.prepare()
    entry = {
        "name": "tiny",
        "family": "stable-diffusion",
        "path": str(tiny),
        "capabilities": ["encode_text", "denoise", "decode", "encode_image"],
        "limits": {"smallest": 16},
    }
    (found.home.models / "models.json").write_text(json.dumps([entry]))
    yield found.start()
    found.stop(30)
    end_all(root)
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def daemon(tiny: Path) -> Iterator[Daemon]:
    """One front for the module."""
    with serving(tiny) as found:
        yield found


@pytest.fixture
def talk(daemon: Daemon) -> Iterator[Talk]:
    with daemon.talk() as talk:
        yield talk


def submit(talk: Talk, **params: Any) -> str:
    key = f"{time.monotonic()}"
    return str(talk.ask("submit", key=key, operation="generate", params={**CAT, **params})["job"])


def picture(talk: Talk, **params: Any) -> str:
    """The hash of the picture of a job that must succeed."""
    done = talk.end(submit(talk, **params), SLOWEST)
    assert done["type"] == "done", done
    return str(done["result"]["images"][0]["sha256"])


def worker(talk: Talk) -> tuple[int, int]:
    """(pid, how many were lost)."""
    state = talk.ask("status")
    return state["workers"][0]["pid"], state["metrics"]["worker_restarts"]


def order(daemon: Daemon, talk: Talk, phase: str, how: str) -> None:
    """The next job dies there."""
    if phase == "load":
        talk.ask("unload")
    (daemon.root / "death").write_text(f"{phase} {how}")


@pytest.fixture(scope="module")
def cold(daemon: Daemon) -> float:
    """Seconds to the first picture, with all that is loaded for it."""
    began = time.monotonic()
    with daemon.talk() as talk:
        picture(talk)
    return time.monotonic() - began


@pytest.fixture
def baseline(talk: Talk, cold: float) -> str:
    """The undisturbed picture; afterwards the worker is warm."""
    return picture(talk)


@pytest.mark.parametrize("phase", ["load", "encode", "step", "decode"])
def test_out_of_memory_fails_one_job_says_what_to_try_and_the_same_worker_goes_on(
    daemon: Daemon, talk: Talk, baseline: str, phase: str
) -> None:
    before = worker(talk)
    order(daemon, talk, phase, "oom" if phase != "decode" else "host-oom")
    failed = talk.end(submit(talk, prompt=f"a cat that is too large for {phase}"), SLOWEST)
    assert failed["error"]["code"] == "out_of_memory"
    assert failed["error"]["details"]["try"] == {"width": 16, "height": 16}
    assert "16 x 16" in failed["error"]["hint"]
    (daemon.root / "death").unlink()
    assert picture(talk) == baseline
    assert worker(talk) == before


def die_beside_another(daemon: Daemon, talk: Talk, phase: str, how: str, patience: float = 0.0) -> None:
    """The worker dies there; the job that was in it and one beside it end all the same. ``patience``: the front's, with a hang."""
    lost = talk.ask("status")["metrics"]["worker_restarts"]
    order(daemon, talk, phase, how)
    job = submit(talk, prompt=f"a cat for {phase} {how}")  # texts are kept: a known one is not encoded again
    bystander = submit(talk, prompt="a bystander")
    began = time.monotonic()
    while (daemon.root / "death").exists():
        assert time.monotonic() - began < SLOWEST, "it does not die"
        time.sleep(0.01)
    died = time.monotonic()
    while talk.ask("status")["metrics"]["worker_restarts"] == lost:
        assert time.monotonic() - died < 60 + patience, "the death is not noticed"
        time.sleep(0.01)
    print(f"{how} in {phase}: noticed after {time.monotonic() - died:.2f} s")
    assert talk.end(job, SLOWEST)["type"] == "done"
    assert talk.end(bystander, SLOWEST)["type"] == "done"


@pytest.mark.parametrize(("phase", "how"), [("load", "segv"), ("encode", "kill"), ("step", "segv"), ("decode", "kill")])
def test_a_death_in_each_phase_is_noticed_and_every_job_ends_with_the_same_bytes(
    daemon: Daemon, talk: Talk, baseline: str, phase: str, how: str
) -> None:
    pid, _ = worker(talk)
    die_beside_another(daemon, talk, phase, how)
    assert picture(talk) == baseline
    assert worker(talk)[0] != pid


@pytest.mark.timeout(900)
def test_a_hang_ends_at_its_deadline_and_every_job_ends_with_the_same_bytes(tiny: Path, cold: float, baseline: str) -> None:
    """In a front of its own, whose patience is longer than a cold start takes here: one that loads libraries stands still too."""
    patience = max(10.0, 2 * cold)
    with serving(tiny, **{"worker.hang_patience": patience}) as daemon, daemon.talk() as talk:
        die_beside_another(daemon, talk, "step", "hang", patience)
        assert picture(talk) == baseline


def test_a_cancel_at_every_step_leaves_no_trace(daemon: Daemon, talk: Talk, baseline: str) -> None:
    before = worker(talk)
    ends = []
    for step in range(5):
        job = submit(talk, steps=40, prompt=f"a cat that ends at {step}")
        while step and talk.event(job, "progress")["step"] < step:
            pass
        talk.ask("cancel", job=job)
        talk.ask("cancel", job=job)
        ends.append(talk.end(job, SLOWEST)["type"])
        assert picture(talk) == baseline
    assert ends == ["cancelled"] * 5
    assert worker(talk) == before
