"""Patches and controls with weights of their own: loaded for the call, the same for all its rows, and told apart in the cache of texts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import pytest
import torch
from tests.engine.toys import CARD, REF, Bench, Job, ToyModel, noise

from gesso.engine import All, CallError, Denoise, EncodeText, ModelRef, Steer, steered
from gesso.model import Conditioning, Control, Lora

COND = Conditioning(torch.zeros(1, 3, 8))
OTHER = ModelRef("other", "e" * 8)


class Steered(ToyModel):
    """A toy that adds the mean of a control's picture to each row."""

    added: torch.Tensor | None = None

    @contextlib.contextmanager
    def controlled(self, controls: Sequence[Control]) -> Iterator[None]:
        assert all(control.weights is self for control in controls)
        self.added = sum(control.strength * control.image.mean((1, 2, 3)).view(-1, 1, 1, 1) for control in controls)
        yield
        self.added = None

    def denoise(self, x: torch.Tensor, sigma: torch.Tensor, cond: Conditioning) -> torch.Tensor:
        plain = super().denoise(x, sigma, cond)
        return plain if self.added is None else plain + self.added

    def encode_negative(self, texts: Sequence[str]) -> list[Conditioning]:
        return [Conditioning(-cond.tokens) for cond in self.encode_text(texts)]


def shown(value: float) -> Denoise:
    picture = torch.full((1, 3, 8, 8), value)
    return Denoise(REF, noise(1), 1.0, (COND, COND), (), (Control(OTHER, picture, 0.5),))


def test_each_call_is_steered_by_its_own_picture_in_a_shared_forward() -> None:
    def job(value: float) -> Job:
        return (yield shown(value))

    def plainly() -> Job:
        return (yield Denoise(REF, noise(1), 1.0, (COND,)))

    bench = Bench(model=Steered(CARD))
    bench.run(("a", plainly()))
    bench.run(("b", job(1.0)), ("c", job(3.0)), level="fast")
    plain = bench.value("a").denoised
    for name, value in (("b", 1.0), ("c", 3.0)):
        for row in bench.value(name).predictions:
            assert torch.allclose(row, plain + 0.5 * value, atol=1e-5)


def test_an_adapter_is_handed_over_loaded() -> None:
    def job() -> Job:
        yield Denoise(REF, noise(1), 1.0, (COND,), (Lora(OTHER, 0.5),))

    bench = Bench(model=Steered(CARD))
    bench.run(("a", job()))
    (patch,) = bench.model.patches
    assert isinstance(patch, Lora)
    assert (patch.weight, patch.weights) == (0.5, bench.model)
    assert patch == Lora(OTHER, 0.5)
    assert patch.digest == Lora(OTHER, 0.5).digest != Lora(OTHER, 0.6).digest


def test_a_text_is_encoded_again_under_patches_and_as_a_negative() -> None:
    def job() -> Job:
        patched = EncodeText(REF, ("cat",), (Lora(OTHER, 0.5),))
        return (yield All(EncodeText(REF, ("cat",)), EncodeText(REF, ("cat",), negative=True), patched, EncodeText(REF, ("cat",))))

    bench = Bench(model=Steered(CARD))
    bench.run(("a", job()))
    (plain,), (negative,), (patched,), (again,) = bench.value("a")
    assert torch.equal(negative.tokens, -plain.tokens)
    assert patched is not plain
    assert again is plain


def test_controls_are_heard_between_their_fractions_and_faults_pass_through() -> None:
    control = Control(OTHER, torch.zeros(1, 3, 8, 8))
    sigmas = [1.0, 0.8, 0.6, 0.4, 0.0]

    def asking(x: torch.Tensor, sigma: float) -> Job:
        try:
            return (yield Denoise(REF, x, sigma, (COND,)))
        except CallError as fault:
            return fault

    denoiser = steered(asking, [Steer(control, 0.25, 0.75)], sigmas)
    heard = [next(denoiser(noise(1), sigma)).controls for sigma in sigmas[:-1]]
    assert heard == [(), (control,), (control,), ()]
    running = denoiser(noise(1), 0.8)
    next(running)
    fault = CallError(ValueError("no"))
    with pytest.raises(StopIteration) as end:
        running.throw(fault)
    assert end.value.value is fault
