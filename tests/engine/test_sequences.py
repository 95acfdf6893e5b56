"""`NextTokens`: how a token is drawn, what is kept between calls, and that neither a crowd nor a replay nor its loss changes a token."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.engine.toys import CARD, REF, Bench, Job, ToyModel
from torch import Tensor

from gesso.engine import All, NextTokens, ReplayLog, Token
from gesso.errors import ModelError
from gesso.math import uniform
from gesso.model import Conditioning, TokenChoice

VOCABULARY = 7
LONG = 12
WORDS = Conditioning(torch.randn(1, 2, 5, generator=torch.Generator().manual_seed(2)), torch.zeros(1, 5))
OTHER = Conditioning(torch.randn(1, 2, 5, generator=torch.Generator().manual_seed(3)), torch.zeros(1, 5))


@dataclass(eq=False)
class State:
    state: Tensor
    nbytes: int = 100


class Speaker(ToyModel):
    """A recurrent toy whose logits depend on all tokens so far."""

    def __init__(self) -> None:
        super().__init__(CARD)
        rng = torch.Generator().manual_seed(4)
        self.inside, self.outside = torch.randn(5, 5, generator=rng), torch.randn(5, VOCABULARY, generator=rng)
        self.vectors = torch.randn(VOCABULARY, 5, generator=rng)
        self.fed: list[list[int]] = []
        self.begun = 0
        self.breaks = False

    def begin(self, cond: Conditioning) -> tuple[State, Tensor]:
        self.begun += 1
        state = State(cond.tokens[0].sum(0))
        return state, state.state @ self.outside

    def proceed(self, memories: Sequence[State], tokens: Sequence[int]) -> Tensor:
        self.fed.append(list(tokens))
        states = torch.tanh(torch.stack([memory.state for memory in memories]) @ self.inside + self.vectors[list(tokens)])
        for memory, state in zip(memories, states, strict=True):
            memory.state = state
        if self.breaks and len(tokens) > 1:
            self.breaks = False
            raise RuntimeError("the toy broke")
        return states @ self.outside


def speak(seed: int, cond: Conditioning = WORDS, sequence: int = 0, kept: Sequence[int] = ()) -> Job:
    """Draw a sequence, after tokens that are given."""
    draws, tokens = uniform(LONG, seed), list(kept)
    while len(tokens) < LONG:
        reply: Token = yield NextTokens(REF, cond, sequence, tuple(tokens), float(draws[len(tokens)]))
        tokens.append(reply.number)
    return tokens


def many(seeds: Sequence[int]) -> Job:
    return (yield All(*(speak(seed, sequence=i) for i, seed in enumerate(seeds))))


def by_hand(seed: int, cond: Conditioning = WORDS, kept: Sequence[int] = ()) -> list[int]:
    """The same with no engine and nothing kept: every token from the beginning."""
    tokens = list(kept)
    while len(tokens) < LONG:
        model = Speaker()
        state, logits = model.begin(cond)
        for token in tokens:
            logits = model.proceed([state], [token])[0]
        tokens.append(TokenChoice().draw(logits, float(uniform(LONG, seed)[len(tokens)]))[0])
    return tokens


@pytest.mark.parametrize(
    ("choice", "shares"),
    [
        (TokenChoice(), [0.5, 0.3, 0.15, 0.05]),
        (TokenChoice(temperature=0.5), [0.25, 0.09, 0.0225, 0.0025]),
        (TokenChoice(top_k=2), [0.5, 0.3, 0.0, 0.0]),
        (TokenChoice(top_p=0.6), [0.5, 0.3, 0.0, 0.0]),
        (TokenChoice(top_p=0.5), [0.5, 0.0, 0.0, 0.0]),
        (TokenChoice(temperature=0), [1.0, 0.0, 0.0, 0.0]),
        (TokenChoice(temperature=2, top_k=3, top_p=0.9), [0.5**0.5, 0.3**0.5, 0.15**0.5, 0.0]),
    ],
)
def test_tokens_come_as_often_as_they_should(choice: TokenChoice, shares: list[float]) -> None:
    """Every hundredth of 0..1 falls to the token whose stretch it lies in; places of the tokens are mixed up."""
    where = [2, 0, 3, 1]
    logits = torch.tensor([math.log([0.5, 0.3, 0.15, 0.05][where.index(i)]) + 3 for i in range(4)])
    found = [choice.draw(logits, (i + 0.5) / 1000)[0] for i in range(1000)]
    for place, share in zip(where, shares, strict=True):
        assert found.count(place) / 1000 == pytest.approx(share / sum(shares), abs=0.002)
    assert choice.draw(logits, 0.0) == (2, pytest.approx(math.log(0.5), rel=1e-5))


def test_the_ends_of_the_draw_and_equal_tokens() -> None:
    even = torch.zeros(3)
    assert [TokenChoice().draw(even, u)[0] for u in (0.0, 0.34, 1 - 1e-16)] == [0, 1, 2]
    assert TokenChoice(temperature=0).draw(even, 0.9)[0] == 0
    with pytest.raises(ValueError, match="NaN"):
        TokenChoice().draw(torch.tensor([0.0, math.nan]), 0.5)


def test_a_sequence_is_what_it_is_by_hand_and_each_token_is_taken_in_once() -> None:
    bench = Bench(model=Speaker())
    bench.run(("a", speak(5)))
    assert bench.value("a") == by_hand(5)
    assert bench.model.begun == 1
    assert [token for (token,) in bench.model.fed] == bench.value("a")[:-1]
    assert bench.end("a").evaluations == LONG


def test_in_a_crowd_it_is_the_same_to_the_bit() -> None:
    bench = Bench(model=Speaker())
    bench.run(("a", speak(5)), ("b", many([7, 5, 9])), ("c", speak(5, OTHER)))
    assert {len(fed) for fed in bench.model.fed} == {1}
    assert bench.value("a") == by_hand(5)
    assert list(bench.value("b")) == [by_hand(7), by_hand(5), by_hand(9)]
    assert bench.value("c") == by_hand(5, OTHER)
    assert bench.model.begun == 5


def test_rows_of_many_jobs_at_different_places_share_forwards() -> None:
    """By a clock on which every forward takes as long, so that rows get cheaper the more there are."""
    bench = Bench(model=Speaker(), clock=map(float, itertools.count()).__next__)
    kept = by_hand(8)[:6]
    bench.run(("a", many(range(6))), ("b", speak(8, kept=kept)), ("c", speak(3, OTHER)), level="fast")
    assert max(len(fed) for fed in bench.model.fed) > 2
    assert sum(len(fed) for fed in bench.model.fed) == 8 * (LONG - 1)
    assert list(bench.value("a")) == [by_hand(seed) for seed in range(6)]
    assert bench.value("b") == by_hand(8)
    assert bench.value("c") == by_hand(3, OTHER)


def test_what_was_forgotten_is_computed_again() -> None:
    bench = Bench(model=Speaker())
    bench.engine._calls._forward.sequences._most = 0
    bench.run(("a", many([1, 2])))
    assert list(bench.value("a")) == [by_hand(1), by_hand(2)]
    forgetful = Bench(model=Speaker())
    dispatcher = forgetful.engine._calls
    forgetful.start("a", speak(6))
    while forgetful.engine.turn():
        dispatcher._make_room()
    assert forgetful.value("a") == by_hand(6)
    assert forgetful.model.begun == LONG


def test_nothing_is_kept_of_a_job_that_ended() -> None:
    bench = Bench(model=Speaker())
    held = bench.engine._calls._forward.sequences._held
    bench.start("a", speak(1))
    bench.start("b", speak(2))
    for _ in range(3):
        bench.engine.turn()
    bench.engine.pause("a")
    for _ in range(3):
        bench.engine.turn()
    assert len(held) == 2
    bench.engine.cancel("a")
    assert len(held) == 1
    bench.engine.run()
    assert not held


def test_other_tokens_or_words_begin_anew() -> None:
    def wandering() -> Job:
        found = []
        for cond, tokens in ((WORDS, ()), (WORDS, (1,)), (WORDS, (2, 3)), (OTHER, (2, 3, 4)), (OTHER, (2, 3))):
            found.append((yield NextTokens(REF, cond, 0, tokens, 0.4)))
        return found

    bench = Bench(model=Speaker())
    bench.run(("a", wandering()))
    assert bench.model.begun == 4
    expected = []
    for cond, tokens in ((WORDS, ()), (WORDS, (1,)), (WORDS, (2, 3)), (OTHER, (2, 3, 4)), (OTHER, (2, 3))):
        model = Speaker()
        state, logits = model.begin(cond)
        for token in tokens:
            logits = model.proceed([state], [token])[0]
        expected.append(Token(*TokenChoice().draw(logits, 0.4)))
    assert bench.value("a") == expected


def test_a_forward_that_fails_leaves_nothing_half_done() -> None:
    """Rows share the one that breaks; each is then run alone, from its beginning."""
    bench = Bench(model=Speaker())
    bench.model.breaks = True
    bench.run(("a", many([1, 2, 3])), level="fast")
    assert list(bench.value("a")) == [by_hand(1), by_hand(2), by_hand(3)]
    assert bench.model.begun > 3


def test_a_model_that_says_nothing_sensible_fails_its_job() -> None:
    bench = Bench(model=Speaker())
    bench.model.outside[:] = math.nan
    bench.run(("a", speak(1)))
    error = bench.end("a").error
    assert isinstance(error, ModelError)
    assert "NaN or infinite numbers among the logits, at token 1" in error.message


def test_a_replayed_job_ends_with_the_same_tokens(tmp_path: Path) -> None:
    log = ReplayLog(tmp_path / "log")
    bench = Bench(model=Speaker())
    bench.start("a", many([4, 6]), log=log)
    for _ in range(LONG + 4):
        bench.engine.turn()
    bench.engine.close()
    again = ReplayLog(tmp_path / "log")
    replayed = len(again)
    assert 4 < replayed < 2 * LONG
    second = Bench(model=Speaker())
    second.start("a", many([4, 6]), log=again)
    second.engine.run()
    assert list(second.value("a")) == [by_hand(4), by_hand(6)]
    assert second.engine.counters["evaluations"] == 2 * LONG - replayed


def test_a_model_without_tokens_says_so() -> None:
    bench = Bench()
    bench.run(("a", speak(1)))
    assert "cannot do 'proceed'" in str(bench.end("a").error)


def test_a_token_and_its_call_cross_to_an_isolated_plugin() -> None:
    from gesso.isolation.codec import Decoder, Encoder

    call = NextTokens(REF, WORDS, 3, (1, 2), 0.25, TokenChoice(0.5, None, 0.9))
    for thing in (call, Token(4, -1.5)):
        out = Encoder()
        value: Any = out.value(thing)
        back = Decoder(out.blobs).value(value)
        assert type(back) is type(thing)
        if isinstance(back, NextTokens):
            assert (back.tokens, back.u, back.choice, back.sequence) == (call.tokens, call.u, call.choice, 3)
        else:
            assert back == thing
