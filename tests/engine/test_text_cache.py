"""Text embeddings are kept by (encoder, text): what was encoded is not encoded again, and what belongs to another model is."""

from __future__ import annotations

import torch
from tests.engine.toys import CARD, REF, Bench, Job, ToyModel

from gesso.engine import EncodeText, ModelRef
from gesso.engine.forward import TextCache
from gesso.model import Conditioning

SCOPE = ("d", (), False)


def encoding(*texts: str, ref: ModelRef = REF) -> Job:
    return (yield EncodeText(ref, texts))


def encoded(model: ToyModel) -> list[int]:
    """How many texts each run of the encoder had."""
    return [-rows for rows in model.batches if rows < 0]


def test_a_text_is_encoded_once_for_all_jobs() -> None:
    bench = Bench()
    bench.run(("a", encoding("a cat", "")))
    bench.run(("b", encoding("a cat", "")), ("c", encoding("", "a dog", "a dog", "a cat")))
    assert encoded(bench.model) == [2, 1]
    assert bench.value("b")[0] is bench.value("a")[0]
    assert [cond is bench.value("a")[1] for cond in bench.value("c")] == [True, False, False, False]
    assert bench.value("c")[3] is bench.value("a")[0]


def test_another_model_encodes_for_itself() -> None:
    bench = Bench(model=ToyModel(CARD))
    bench.run(("a", encoding("a cat")), ("b", encoding("a cat", ref=ModelRef("toy", "other"))))
    assert encoded(bench.model) == [1, 1]


def test_the_least_used_go_first() -> None:
    cache = TextCache(most=2)
    conds = {text: Conditioning(torch.zeros(1, 1, 1)) for text in "abc"}
    for text in "ab":
        cache.put(SCOPE, text, conds[text])
    assert cache.get(SCOPE, "a") is conds["a"]
    cache.put(SCOPE, "c", conds["c"])
    assert cache.get(SCOPE, "b") is None
    assert cache.get(SCOPE, "a") is conds["a"]
    assert cache.all(EncodeText(ModelRef("toy", "d"), ("c", "a"))) == (conds["c"], conds["a"])
    assert cache.all(EncodeText(ModelRef("toy", "d"), ("c", "b"))) is None
    assert cache.get(("e", (), False), "a") is None


def test_long_embeddings_leave_room_for_fewer() -> None:
    """Fails where embeddings are counted and not weighed: five hundred that saw a picture would fill a machine."""
    cache = TextCache(numbers=100)
    for text in "abc":
        cache.put((), text, Conditioning(torch.zeros(1, 8, 5)))
    assert [cache.get((), text) is not None for text in "abc"] == [False, True, True]
    cache.put((), "d", Conditioning(torch.zeros(1, 80, 5)))
    assert [cache.get((), text) is not None for text in "bcd"] == [False, False, True]


def test_an_embedding_that_is_held_again_counts_once() -> None:
    """Fails where `put` forgets to take off what it replaces: the same text from many jobs would drive all others out."""
    cache = TextCache(numbers=100)
    cache.put((), "other", Conditioning(torch.zeros(1, 8, 5)))
    for _ in range(5):
        cache.put((), "a", Conditioning(torch.zeros(1, 8, 5)))
    assert cache.get((), "other") is not None
