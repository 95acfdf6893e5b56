"""Weights in prompts: the peers' notation is read as they read it, and no text breaks the parser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gesso.errors import InvalidRequest
from gesso.manifest import ModelEntry
from gesso_plugins.diffusion.emphasis import parse
from gesso_plugins.diffusion.stable_diffusion import StableDiffusionFamily


@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        ("", [("", 1.0)]),
        ("plain words, with: colons", [("plain words, with: colons", 1.0)]),
        ("an (important) word", [("an ", 1.0), ("important", 1.1), (" word", 1.0)]),
        ("(x:1.3)", [("x", 1.3)]),
        ("(x: .5 )", [("x", 0.5)]),
        ("(a (b:2) c)", [("a ", 1.1), ("b", 2.2), (" c", 1.1)]),
        ("((a))", [("a", 1.21)]),
        ("[a] b", [("a", 1 / 1.1), (" b", 1.0)]),
        (r"a \(literal\) \[too\]", [("a (literal) [too]", 1.0)]),
        ("(a:-1)", [("a", -1.0)]),
        ("unclosed (a b", [("unclosed ", 1.0), ("a b", 1.1)]),
        ("closed) only]", [("closed) only]", 1.0)]),
        ("a:1.5) b", [("a:1.5) b", 1.0)]),
        ("(a]b)", [("a]b", 1.1)]),
        ("(time 12:30)", [("time 12", 30.0)]),
        ("(a:)", [("a:", 1.1)]),
        ("a Big BREAKfast", [("a Big BREAKfast", 1.0)]),
    ],
)
def test_the_notation_is_read(prompt: str, wanted: list[tuple[str, float]]) -> None:
    if any(weight > 10 for _, weight in wanted):
        with pytest.raises(InvalidRequest, match="too large") as caught:
            parse(prompt)
        assert caught.value.field == "prompt"
        return
    found = [(part.text, part.weight) for part in parse(prompt)]
    assert [text for text, _ in found] == [text for text, _ in wanted]
    assert [weight for _, weight in found] == pytest.approx([weight for _, weight in wanted])


def test_break_starts_a_new_part() -> None:
    assert [(part.text.strip(), part.breaks) for part in parse("a BREAK b (BREAK c) BREAK")] == [("a", False), ("b", True), ("c", True)]
    assert [part.breaks for part in parse("BREAK a")] == [False]


@given(st.text(alphabet="ab ()[]:\\.19BREAK", max_size=60))
def test_every_text_is_read_and_no_letter_is_lost(prompt: str) -> None:
    try:
        parts = parse(prompt)
    except InvalidRequest:
        return
    assert "".join(part.text for part in parts).count("a") == prompt.count("a")


@pytest.fixture(scope="module")
def encode(pipelines: Callable[[str], Path]) -> Callable[[str], torch.Tensor]:
    family = StableDiffusionFamily()
    model = family.load(family.inspect(ModelEntry("t", family.name, "T", pipelines("epsilon"), ())), torch.device("cpu"))

    def states(text: str) -> torch.Tensor:
        with torch.no_grad():
            return model.encode_text([text])[0].tokens

    return states


def test_a_weight_moves_its_tokens_away_from_the_empty_prompt(encode: Callable[[str], torch.Tensor]) -> None:
    plain, empty = encode("ab"), encode("")
    for weight in (0.0, 0.5, 1.5):
        found = encode(f"(ab:{weight})")
        assert torch.allclose(found[:, 1:3], empty[:, 1:3] + weight * (plain - empty)[:, 1:3], atol=1e-5)
        assert torch.allclose(found[:, 3:], plain[:, 3:], atol=1e-5)
    assert torch.equal(encode("(ab:1.0)"), plain)


def test_break_fills_the_window(encode: Callable[[str], torch.Tensor]) -> None:
    whole = encode("one BREAK two")
    assert whole.shape[1] == 154
    assert torch.equal(whole[:, 77:], encode(" two"))
