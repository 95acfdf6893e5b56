"""Models come and go under one budget; what is in use stays."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from gesso.device.environment import environment, settle
from gesso.device.residency import Housekeeping, ModelPool, budget_of, size_of_weights
from gesso.errors import InvalidRequest, ModelError, OutOfMemory
from gesso.model import ModelCard, Patch, Thrift

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Ref:
    name: str
    digest: str


class Weights:
    def __init__(self, card: ModelCard, nbytes: int) -> None:
        self.card = card
        self.nbytes = nbytes

    @contextlib.contextmanager
    def patched(self, patches: Sequence[Patch]) -> Iterator[None]:
        yield


class Shelf:
    """A catalogue of models by name: size in bytes and seconds to load, on a clock that it drives itself."""

    def __init__(self, **models: tuple[int, float]) -> None:
        self.models = models
        self.now = 0.0
        self.loads: list[str] = []
        self.failures = 0
        self.paths: dict[str, Path] = {}

    def clock(self) -> float:
        return self.now

    def card(self, name: str) -> ModelCard:
        if name not in self.models:
            raise InvalidRequest("There is no such model.", field="model")
        return ModelCard(name, "shelf", f"digest of {name}", name, self.paths.get(name), frozenset())

    def load(self, card: ModelCard, on: torch.device, thrift: Thrift) -> Any:
        self.loads.append(card.name)
        if self.failures:
            self.failures -= 1
            raise torch.OutOfMemoryError("no room")
        size, seconds = self.models[card.name]
        self.now += seconds
        return Weights(card, size)


def ref(name: str) -> Ref:
    return Ref(name, f"digest of {name}")


def use(pool: ModelPool, *names: str) -> None:
    for name in names:
        with pool.using(ref(name)) as model:
            assert model.card.name == name


def test_a_model_is_loaded_once() -> None:
    shelf = Shelf(a=(10, 1))
    pool = ModelPool(shelf, CPU, Housekeeping(100), clock=shelf.clock)
    use(pool, "a", "a", "a")
    assert shelf.loads == ["a"]
    assert pool.resident == {"a": 10}


def test_the_least_valuable_leaves() -> None:
    shelf = Shelf(slow=(40, 20.0), quick=(40, 1.0), new=(40, 1.0))
    pool = ModelPool(shelf, CPU, Housekeeping(100), clock=shelf.clock)
    use(pool, "slow", "quick")
    shelf.now += 5
    use(pool, "new")
    assert set(pool.resident) == {"slow", "new"}
    shelf.now += 1000
    use(pool, "new")
    shelf.now += 1
    use(pool, "quick")
    assert set(pool.resident) == {"new", "quick"}


def test_what_is_in_use_stays() -> None:
    shelf = Shelf(a=(60, 1), b=(60, 1), c=(30, 1))
    pool = ModelPool(shelf, CPU, Housekeeping(100), clock=shelf.clock)
    with pool.using(ref("a")):
        use(pool, "b")
        assert "a" in pool.resident
        assert pool.make_room() == 60
        assert set(pool.resident) == {"a"}
    assert pool.make_room() == 60
    assert pool.resident == {}


def weights(path: Path, numbers: int) -> Path:
    save_file({"w": torch.zeros(numbers, dtype=torch.float16)}, path)
    return path


def test_a_model_larger_than_the_budget_is_refused_before_it_is_read(tmp_path: Path) -> None:
    shelf = Shelf(huge=(1000, 1), a=(10, 1))
    shelf.paths = {"huge": weights(tmp_path / "huge.safetensors", 100)}
    pool = ModelPool(shelf, CPU, Housekeeping(399), clock=shelf.clock)
    use(pool, "a")
    with pytest.raises(OutOfMemory, match="'huge' needs"):
        use(pool, "huge")
    assert (shelf.loads, set(pool.resident)) == (["a"], {"a"})
    assert not pool.would_fit(shelf.paths["huge"])
    assert not pool.would_fit(tmp_path / "nothing")
    roomy = ModelPool(shelf, CPU, Housekeeping(400), clock=shelf.clock)
    assert roomy.would_fit(shelf.paths["huge"])
    use(roomy, "huge")


def test_what_weights_take_depends_on_the_device_and_not_on_variants(tmp_path: Path) -> None:
    weights(tmp_path / "model.safetensors", 100)
    weights(tmp_path / "model.fp16.safetensors", 100)
    assert size_of_weights(tmp_path, CPU) == 400
    assert size_of_weights(tmp_path, torch.device("cuda")) == 200
    assert size_of_weights(None, CPU) == 0


def test_weights_leave_when_asked_unless_they_are_in_use() -> None:
    shelf = Shelf(a=(10, 1), b=(20, 1))
    pool = ModelPool(shelf, CPU, Housekeeping(100), clock=shelf.clock)
    use(pool, "a", "b")
    with pool.using(ref("a")):
        assert pool.unload("a") == 0
        assert pool.unload("") == 20
    assert pool.unload("a") == 10
    assert pool.unload("a") == 0


def test_two_models_take_turns_under_a_budget_that_holds_one() -> None:
    shelf = Shelf(a=(60, 1), b=(60, 1))
    pool = ModelPool(shelf, CPU, Housekeeping(100), clock=shelf.clock)
    for _ in range(3):
        use(pool, "a", "b")
        assert set(pool.resident) == {"b"}
    assert shelf.loads == ["a", "b"] * 3


def test_a_load_that_does_not_fit_is_tried_once_more_without_the_others() -> None:
    shelf = Shelf(a=(10, 1), b=(10, 1))
    pool = ModelPool(shelf, CPU, Housekeeping(100), clock=shelf.clock)
    use(pool, "a")
    shelf.failures = 1
    use(pool, "b")
    assert set(pool.resident) == {"b"}
    pool.make_room()
    shelf.failures = 1
    with pytest.raises(OutOfMemory, match="'a'"):
        use(pool, "a")


def test_changed_files_are_refused() -> None:
    shelf = Shelf(a=(10, 1))
    pool = ModelPool(shelf, CPU, Housekeeping(100))
    with pytest.raises(ModelError, match="changed"), pool.using(Ref("a", "older")):
        pass
    with pytest.raises(InvalidRequest), pool.using(ref("unknown")):
        pass


def test_idle_weights_leave() -> None:
    shelf = Shelf(a=(10, 1), b=(20, 1))
    pool = ModelPool(shelf, CPU, Housekeeping(100), clock=shelf.clock)
    use(pool, "a")
    shelf.now += 50
    use(pool, "b")
    shelf.now += 15
    assert pool.drop_idle(60) == 10
    assert set(pool.resident) == {"b"}
    assert pool.drop_idle(60) == 0


def test_threads_share_a_pool() -> None:
    shelf = Shelf(**{str(i): (10, 0) for i in range(8)})
    pool = ModelPool(shelf, CPU, Housekeeping(35), clock=shelf.clock)
    faults: list[BaseException] = []

    def work(offset: int) -> None:
        try:
            for i in range(4):
                use(pool, str((i * 3 + offset) % 8))
        except BaseException as fault:
            faults.append(fault)

    crowd = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    assert faults == []
    assert pool.make_room() <= 80
    assert pool.resident == {}


def test_the_environment_is_stable_and_plain() -> None:
    settle(CPU)
    found = environment(CPU)
    assert found == environment(CPU)
    assert found["threads"] == torch.get_num_threads()
    assert all(isinstance(value, (str, int)) for value in found.values())
    assert budget_of(CPU) > 2**30
