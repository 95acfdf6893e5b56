"""Pictures that follow one of them: what attention is shared and how much, that nobody else's rows are touched, and that each is
the picture made alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.plugins.diffusion.unets import WIDTH, unet

from gesso.engine.batching import key_of, rows_of
from gesso.engine.calls import Denoise, Lead
from gesso.errors import InvalidRequest
from gesso.model import Conditioning, ModelRef
from gesso_plugins.diffusion.aligning import aligned

Pipelines = Callable[[str], Path]
TINY = {"prompt": "mossy brick", "model": "tiny", "width": 32, "height": 32, "steps": 4, "seed": 7, "sampler": "euler", "guidance": 5.0}


@pytest.fixture
def network() -> Any:
    torch.manual_seed(3)
    return unet().eval().requires_grad_(False)


def rows(seed: int, count: int = 2) -> torch.Tensor:
    return torch.randn(count, 4, 16, 16, generator=torch.Generator().manual_seed(seed))


def asked(network: Any, x: torch.Tensor) -> torch.Tensor:
    words = torch.randn(1, 5, WIDTH, generator=torch.Generator().manual_seed(4)).expand(len(x), -1, -1)
    answer: torch.Tensor = network(x, 400, words, return_dict=False)[0]
    return answer


def looks(states: torch.Tensor) -> torch.Tensor:
    """Mean and deviation of each channel, row by row."""
    return torch.cat([states.mean(1), states.std(1)], 1)


@pytest.fixture
def tiny(studio: Any, pipelines: Pipelines) -> Any:
    studio.add("tiny", pipelines("epsilon"))
    return studio


def pixels(studio: Any, **more: Any) -> list[np.ndarray[Any, Any]]:
    return [output.pixels for output in studio.make("generate", {**TINY, **more}).outputs]


def test_the_attention_is_that_of_the_paper(network: Any) -> None:
    """Equation 4 written out: queries and keys with the lead's statistics, before the lead's own keys. Without the lead's keys, or with
    their values from elsewhere, no row would be this sum.
    """
    attention = next(block.attn1 for block in network.modules() if hasattr(block, "attn1"))
    states = torch.randn(2, 16, attention.to_q.in_features, generator=torch.Generator().manual_seed(5))
    (q, q_lead), (k, k_lead), (v, v_lead) = (
        layer(states).unflatten(2, (attention.heads, -1)) for layer in (attention.to_q, attention.to_k, attention.to_v)
    )

    def adain(own: torch.Tensor, lead: torch.Tensor) -> torch.Tensor:
        return (own - own.mean(0)) / own.std(0, correction=0) * lead.std(0, correction=0) + lead.mean(0)

    seen, values = torch.cat([adain(k, k_lead), k_lead]), torch.cat([v, v_lead])
    likeness = torch.einsum("qhd,khd->hqk", adain(q, q_lead), seen) / q.shape[-1] ** 0.5
    wanted = attention.to_out[0](torch.einsum("hqk,khd->qhd", likeness.softmax(2), values).flatten(1))
    with aligned(network, 1.0):
        follower, _ = attention(states)
    assert torch.allclose(follower, wanted, atol=1e-3)
    assert not torch.allclose(follower, attention(states)[0], atol=1e-2)


def test_leads_are_untouched_and_who_follows_itself_stays(network: Any) -> None:
    """Without the two halves kept apart the lead would see its followers; a picture that is its own lead sees each key twice, which no
    softmax can tell from once.
    """
    own, lead = rows(1), rows(2)
    plain = asked(network, torch.cat([lead, lead]))
    with aligned(network, 1.0):
        beside, itself = asked(network, torch.cat([own, lead])), asked(network, torch.cat([lead, lead]))
    assert torch.allclose(beside[2:], plain[2:], atol=1e-5)
    assert torch.allclose(itself, plain, atol=1e-5)
    assert not torch.allclose(beside[:2], asked(network, torch.cat([own, lead]))[:2], atol=1e-3)


def test_the_share_goes_from_nothing_to_all_and_leaves_no_trace(network: Any) -> None:
    """Without the logarithm on the lead's keys the smallest share would still mix both pictures in equal parts."""
    both = torch.cat([rows(1), rows(2)])
    plain, apart = asked(network, both), []
    for share in (1e-6, 0.3, 1.0):
        with aligned(network, share):
            apart.append(float((asked(network, both) - plain)[:2].abs().mean()))
    assert apart[0] < 1e-4
    assert apart[0] < apart[1] < apart[2]
    assert torch.equal(asked(network, both), plain)


def test_the_order_of_rows_does_not_matter(network: Any) -> None:
    """Without pairs of rows a follower would look at whatever lead comes first."""
    own, lead = rows(1), rows(2)
    with aligned(network, 0.8):
        straight, turned = asked(network, torch.cat([own, lead])), asked(network, torch.cat([own.flip(0), lead.flip(0)]))
    assert torch.allclose(straight[:2].flip(0), turned[:2], atol=1e-5)


def test_the_look_comes_nearer_to_the_leads(network: Any) -> None:
    """Without the statistics and the shared keys the distance of the means and deviations of what attention answers stays."""
    seen: list[torch.Tensor] = []
    network.down_blocks[0].attentions[0].transformer_blocks[0].attn1.to_out[0].register_forward_hook(lambda *parts: seen.append(parts[2]))
    own = rows(1) * 0.3 + torch.tensor([1.0, -0.5, 0.2, 0.7]).view(1, 4, 1, 1)
    both = torch.cat([own, rows(2)])
    asked(network, both)
    with aligned(network, 1.0):
        asked(network, both)
    before, after = (float((looks(states)[:2] - looks(states)[2:]).abs().mean()) for states in seen)
    assert after < 0.6 * before


def test_calls_that_follow_share_no_forward_with_others() -> None:
    """Without the share in the key the rows of another job would be halved into followers and leads."""
    cond = Conditioning(torch.zeros(1, 2, 4))
    call = Denoise(ModelRef("tiny", "0"), torch.zeros(1, 4, 8, 8), 1.0, (cond,))
    following, half = (Denoise(call.model, call.x, 1.0, (cond,), lead=Lead(call.x, (cond,), share)) for share in (1.0, 0.5))
    assert len({key_of(each) for each in (call, following, half)}) == 3
    assert rows_of(following) == 2 * rows_of(call)


def test_at_nought_the_bits_are_those_without(tiny: Any) -> None:
    for one, other in zip(pixels(tiny, count=2), pixels(tiny, count=2, align=0.0), strict=True):
        assert np.array_equal(one, other)


def test_the_first_stays_and_each_is_the_picture_made_alone(tiny: Any) -> None:
    """Without the lead's seed in the recipe a picture made again would follow itself."""
    plain, made = pixels(tiny, count=3), tiny.make("generate", {**TINY, "count": 3, "align": 0.9}).outputs
    assert np.array_equal(made[0].pixels, plain[0])
    for output, other in zip(made[1:], plain[1:], strict=True):
        assert not np.array_equal(output.pixels, other)
        assert np.array_equal(tiny.make("generate", output.params).outputs[0].pixels, output.pixels)


def test_pictures_of_other_words_follow_one(tiny: Any) -> None:
    """Without the lead's own words in its rows both would be the same picture."""
    lead = {"align": 1.0, "align_seed": 7}
    (one,), (other,) = pixels(tiny, seed=8, **lead), pixels(tiny, seed=8, align_prompt="moss", **lead)
    assert not np.array_equal(one, other)
    assert np.array_equal(one, pixels(tiny, count=2, align=1.0)[1])


def test_what_cannot_follow_is_refused_in_one_sentence(tiny: Any) -> None:
    for more, field, said in (
        ({"align_seed": 3}, "align", "align is 0"),
        ({"align": 1, "window": 64}, "window", "take no window"),
        ({"align": 1, "sampler": "dpm_adaptive"}, "sampler", "other steps"),
    ):
        with pytest.raises(InvalidRequest, match=said) as caught:
            tiny.resolve("generate", {**TINY, "count": 2, **more})
        assert caught.value.field == field
    assert tiny.resolve("generate", {**TINY, "align": 1})[1] == ["There is one picture and none that it could follow: align has no effect."]
