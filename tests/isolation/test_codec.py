"""What crosses between a worker and an isolated plugin arrives as it was, bit for bit; what cannot cross is refused by its name."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gesso.engine import All, CallError, Denoise, Denoised, Emit, Load, ModelRef, Progress, Warn
from gesso.errors import InvalidRequest, PluginError
from gesso.isolation.codec import Decoder, Encoder
from gesso.math import Noise
from gesso.media import Output
from gesso.media.outputs import SRGB
from gesso.model import Conditioning, ModelCard, Parametrisation, Seamless

REF = ModelRef("m", "d")


def crossed(thing: Any) -> Any:
    """As the other process reads it."""
    encoder = Encoder()
    wrapped = json.loads(json.dumps(encoder.value(thing), allow_nan=False))
    return Decoder(encoder.blobs).value(wrapped)


@pytest.mark.parametrize(
    "thing",
    [
        None, True, 3, "text", 0.1 + 0.2, math.inf, -math.inf, [1, (2, [3])], (), {"a": {"$": 1}}, {1: 2}, frozenset({"a", "b"}), b"\0\xff",
        Path("/a/b"), REF, Load(REF), Progress(0, 1, None, 0.5, 0.25), Parametrisation("flow", (0.1, 0.2)),
        ModelCard("n", "f", "d", "t", Path("p"), frozenset({"render"}), parametrisation=Parametrisation("epsilon", (0.1,))),
    ],
)  # fmt: skip
def test_plain_values_and_data_classes_arrive_equal(thing: Any) -> None:
    assert crossed(thing) == thing
    assert type(crossed(thing)) is type(thing)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool])
def test_tensors_arrive_bit_for_bit(dtype: torch.dtype) -> None:
    whole = torch.randn(4, 6, generator=torch.Generator().manual_seed(1)).to(dtype)
    for tensor in (whole, whole.T, whole[1:3, ::2], whole[0, 0], whole[:0]):
        back = crossed(tensor)
        assert (back.dtype, back.shape) == (tensor.dtype, tensor.shape)
        assert torch.equal(back, tensor)


def test_not_a_number_arrives_and_shared_tensors_stay_shared() -> None:
    assert math.isnan(crossed(math.nan))
    x = torch.tensor([math.nan, -0.0])
    reply = crossed(Denoised(x, x, (x, x[:1])))
    assert reply.denoised is reply.uncond
    assert reply.denoised.view(torch.int32).tolist() == x.view(torch.int32).tolist()
    assert reply.predictions[1].shape == (1,)


def test_calls_and_pictures_arrive_whole() -> None:
    cond = Conditioning(torch.ones(1, 2, 3), None, {"size": torch.zeros(1, 2)})
    call = Denoise(REF, torch.randn(1, 4, 2, 2), 0.5, (cond, cond), (Seamless(True, False),))
    told = Emit(Progress(0, 1, None, 0.5, 0.25), Warn("w"))
    assert crossed(told).events == told.events
    back = crossed(All(call, Load(REF))).items
    assert back[1] == Load(REF)
    assert back[0].patches == call.patches
    assert torch.equal(back[0].x, call.x)
    assert back[0].conds[0].layout() == cond.layout()
    for kind in (np.uint8, np.uint16, np.float32):
        pixels = np.arange(24, dtype=kind).reshape(2, 4, 3)
        output = crossed(Output(pixels, "image", 0, 7, {"seed": 7}, "m", score=float(np.float64(0.5))))
        assert output.pixels.dtype == kind
        assert np.array_equal(output.pixels, pixels)
        assert output.profile.is_srgb
        assert output.profile.curves == SRGB.curves


def test_noise_draws_on_from_where_it_was() -> None:
    noise = Noise((1, 4, 2, 2), 5)
    noise(1.0, 0.5)
    copy = crossed(noise)
    assert torch.equal(copy(0.5, 0.2), noise(0.5, 0.2))
    assert torch.equal(copy.brownian(0.5, 0.2), noise.brownian(0.5, 0.2))
    copy(0.2, 0.1)
    noise.follow(copy.state())
    assert torch.equal(copy(0.1, 0.0), noise(0.1, 0.0))


def test_faults_keep_their_code_and_their_name() -> None:
    fault = crossed(CallError(InvalidRequest("No.", field="seed", hint="Yes."))).cause
    assert (type(fault), fault.message, fault.field, fault.hint) == (InvalidRequest, "No.", "seed", "Yes.")
    other = crossed(ZeroDivisionError("division by zero"))
    assert (type(other).__name__, str(other)) == ("ZeroDivisionError", "division by zero")
    assert isinstance(crossed(MemoryError("x")), MemoryError)


@pytest.mark.parametrize("thing", [Fraction(1, 2), object(), lambda: 1, torch.nn.Linear(1, 1), [Fraction(1, 2)]])
def test_what_cannot_cross_is_refused_by_name(thing: Any) -> None:
    with pytest.raises(PluginError, match=r"cannot cross between an isolated plugin and the worker"):
        Encoder().value(thing)


@pytest.mark.parametrize("tag", ["os:system", "subprocess:Popen", "gesso.engine.calls:Call.mro", "gesso.engine.calls:key_of", "kept", "x"])
def test_only_known_data_classes_are_made(tag: str) -> None:
    with pytest.raises(PluginError):
        Decoder(()).value({"v": {"$": tag, "v": {}}})
