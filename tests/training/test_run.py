"""`Run`: resumes to equal bits wherever it was broken, does its chores in time, and ends on a signal with a checkpoint."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch

from gesso.training.checkpoint import load_checkpoint
from gesso.training.muon import build_optimiser
from gesso.training.rate import rate
from gesso.training.run import Chore, Run, RunConfig

pytestmark = pytest.mark.filterwarnings("ignore")
STEPS = 7


class Line:
    """A small network that learns to double what it sees."""

    def __init__(self) -> None:
        torch.manual_seed(3)
        self.network = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 4))

    def named_tensors(self) -> dict[str, torch.Tensor]:
        return {name: value.detach() for name, value in self.network.named_parameters()}

    def load_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for name, value in self.named_tensors().items():
                value.copy_(tensors[name])


class Doubling:
    """A training of `Line`; `stop` ends it after so many steps, as a signal would."""

    def __init__(self, folder: Path) -> None:
        self.run = Run("line", RunConfig(out=folder))
        self.line = Line()
        self.run.train(self.line, [self.line.network], build_optimiser([self.line.network], 0.02, 1e-3), 0.9)
        self.seen: list[float] = []

    def one_step(self) -> dict[str, float]:
        torch.manual_seed(100 + self.run.step)
        data = torch.randn(6, 4)
        loss = (self.line.network(data) - 2 * data).square().mean()
        self.run.learn(loss, rate(self.run.step, warmup=3), 6)
        self.seen.append(float(loss.detach()))
        return {"loss": self.seen[-1]}

    def go(self, until: int | None, chores: tuple[Chore, ...] = ()) -> Doubling:
        with self.run.opened():
            self.run.resume()
            self.run.loop(self.one_step, chores, until)
            self.run.save(self.run.record())
        return self


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    folder = tmp_path_factory.mktemp("whole")
    Doubling(folder).go(STEPS)
    checkpoint = load_checkpoint(folder / "checkpoint")
    assert checkpoint is not None
    return checkpoint.tensors


@pytest.mark.parametrize("broken", range(1, STEPS))
def test_it_resumes_to_equal_bits(tmp_path: Path, broken: int, whole: dict[str, torch.Tensor]) -> None:
    Doubling(tmp_path).go(broken)
    ended = Doubling(tmp_path).go(STEPS)
    checkpoint = load_checkpoint(tmp_path / "checkpoint")
    assert checkpoint is not None
    assert len(ended.seen) == STEPS - broken
    assert checkpoint.facts["samples"] == 6 * STEPS
    assert checkpoint.tensors.keys() == whole.keys()
    for name, value in whole.items():
        assert torch.equal(checkpoint.tensors[name], value), name


def test_the_average_is_not_the_model(whole: dict[str, torch.Tensor]) -> None:
    assert not torch.equal(whole["average.0.weight"], whole["model.0.weight"])


def test_chores_come_round(tmp_path: Path) -> None:
    steps: list[int] = []
    minutes: list[int] = []
    training = Doubling(tmp_path)
    chores = (Chore(lambda: steps.append(training.run.step), steps=3), Chore(lambda: minutes.append(1), minutes=0.0))
    training.go(STEPS, chores)
    assert steps == [3, 6]
    assert len(minutes) == STEPS


def test_what_is_logged_is_the_mean_since_the_last_line(tmp_path: Path) -> None:
    training = Doubling(tmp_path)
    training.go(6, (Chore(lambda: training.run.log(6, "", validation=0.5), steps=3),))
    lines = (tmp_path / "loss.csv").read_text().splitlines()[1:]
    losses = [float(line.split(",")[4]) for line in lines]
    assert losses == pytest.approx([sum(training.seen[:3]) / 3, sum(training.seen[3:]) / 3], rel=1e-4)
    assert {line.split(",")[5] for line in lines} == {"0.5"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
def test_a_signal_ends_it_with_a_checkpoint(tmp_path: Path, number: int) -> None:
    training = Doubling(tmp_path)
    training.go(None, (Chore(lambda: os.kill(os.getpid(), number), steps=4),))
    checkpoint = load_checkpoint(tmp_path / "checkpoint")
    assert checkpoint is not None
    assert checkpoint.facts["step"] == 4


def test_a_warm_start_counts_on_and_warms_up_anew(tmp_path: Path) -> None:
    training = Doubling(tmp_path)
    training.run.warm_start({"step": 50, "samples": 300, "cpu_hours": 1.5})
    training.go(52)
    assert len(training.seen) == 2
    assert training.run.record()["samples"] == 312
    assert training.run.record()["cpu_hours"] >= 1.5
    assert Doubling(tmp_path).go(53).run.warm_step == 50
