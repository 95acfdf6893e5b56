"""The terms of both losses against their formulas, the masks against figure 11 spelled out, and the networks' shapes at both sizes."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
import torch
from tests.plugins.dalle.conftest import TINY, fresh
from torch.nn import functional

from gesso_plugins.dalle.autoencoder import (
    BROAD,
    EDGE,
    Decoder,
    Encoder,
    annealed,
    begin,
    divergence,
    inward,
    outward,
    relaxed,
    surprise,
    tokens_of,
    unevenness,
)
from gesso_plugins.dalle.config import PAPER, NetworkConfig
from gesso_plugins.dalle.masks import Kind, image_mask, kinds, seen, whole_mask
from gesso_plugins.dalle.transformer import Transformer, losses, padded


def test_the_map_of_samples_and_its_inverse() -> None:
    samples = torch.tensor([0.0, 0.25, 1.0])
    assert inward(samples).tolist() == pytest.approx([0.1, 0.3, 0.9])
    assert outward(inward(samples)).tolist() == pytest.approx(samples.tolist())
    assert outward(torch.tensor([0.02, 0.95])).tolist() == [0, 1]


def test_the_logit_laplace_density_by_hand() -> None:
    """f(x) = exp(-|logit(x) - location| / scale) / (2 scale x (1 - x)), once for each of three colours."""
    pictures = torch.tensor([0.0, 0.4, 1.0]).view(1, 3, 1, 1)
    locations, log_scales = [0.3, -1.0, 2.0], [0.5, -0.7, 0.0]
    found = surprise(torch.tensor([*locations, *log_scales]).view(1, 6, 1, 1), pictures).flatten()
    for value, sample, location, log_scale in zip(found.tolist(), (0.1, 0.42, 0.9), locations, log_scales, strict=True):
        scale = math.exp(log_scale)
        density = math.exp(-abs(math.log(sample / (1 - sample)) - location) / scale) / (2 * scale * sample * (1 - sample))
        assert value == pytest.approx(-math.log(density), rel=1e-5)


def test_the_density_is_one() -> None:
    """Over all of 0..1, most of which phi reaches; what lies beyond is integrated in the same numbers."""
    x = torch.linspace(1e-5, 1 - 1e-5, 400_001, dtype=torch.float64)
    pictures = (x - EDGE) / (1 - 2 * EDGE)
    statistics = torch.tensor([0.4] * 3 + [-0.5] * 3).view(1, 6, 1, 1).expand(1, 6, 1, len(x))
    density = (-surprise(statistics, pictures.expand(1, 3, 1, -1))).exp()[0, 0, 0]
    assert float(torch.trapezoid(density, x)) == pytest.approx(1.0, abs=2e-3)


def test_the_divergence_from_even_tokens() -> None:
    shares = torch.tensor([0.7, 0.2, 0.1])
    by_hand = sum(p * math.log(p * 3) for p in shares.tolist())
    assert float(divergence(shares.log().view(1, 3, 1, 1))) == pytest.approx(by_hand, rel=1e-5)
    assert float(divergence(torch.zeros(1, 5, 1, 1))) == pytest.approx(0, abs=1e-6)
    assert float(divergence(torch.tensor([50.0, 0, 0, 0]).view(1, 4, 1, 1))) == pytest.approx(math.log(4), rel=1e-5)


def test_the_unevenness_is_the_divergence_of_the_mean() -> None:
    certain = torch.tensor([[50.0, 0, 0, 0], [0, 50.0, 0, 0]]).T.view(1, 4, 2, 1)
    assert float(unevenness(certain)) == pytest.approx(math.log(2), rel=1e-5)
    assert float(divergence(certain).mean()) == pytest.approx(math.log(4), rel=1e-5)
    assert float(unevenness(certain[:, :, :1])) == pytest.approx(math.log(4), rel=1e-5)


def test_the_autoencoder_begins_as_a_codebook_of_squares() -> None:
    """Of pictures that have as many squares as there are tokens, each comes back as it was; scales are equal."""
    torch.manual_seed(2)
    encoder, decoder = Encoder(TINY), Decoder(TINY)
    squares = torch.rand(TINY.vocabulary, 3, 4, 4, generator=torch.Generator().manual_seed(5))
    order = torch.randint(TINY.vocabulary, (40, 4, 4), generator=torch.Generator().manual_seed(6))
    pictures = functional.pixel_shuffle(squares.flatten(1)[order].movedim(-1, 1), 4)
    begin(encoder, decoder, pictures, torch.Generator().manual_seed(3))
    with torch.no_grad():
        tokens = tokens_of(encoder(pictures))
        again = decoder.picture(tokens)
        shares = functional.one_hot(tokens, TINY.vocabulary).movedim(-1, 1).float()
        assert decoder(shares)[:, 3:].unique().tolist() == [BROAD]
    hit = (again - pictures).abs().amax(1) < 1e-3
    assert len(tokens.unique()) > TINY.vocabulary / 2
    assert float(hit.float().mean()) > 0.4
    assert bool((again - pictures).square().mean() < 0.5 * pictures.var())


def test_the_relaxation_is_a_softmax_of_gumbel_noise() -> None:
    logits = torch.tensor([1.0, -0.5, 0.3]).view(1, 3, 1, 1)
    even = torch.rand(logits.shape, generator=torch.Generator().manual_seed(3)).flatten().tolist()
    powers = [math.exp((logit - math.log(-math.log(u))) / 0.7) for logit, u in zip(logits.flatten().tolist(), even, strict=True)]
    found = relaxed(logits, 0.7, torch.Generator().manual_seed(3)).flatten().tolist()
    assert found == pytest.approx([power / sum(powers) for power in powers], rel=1e-4)


def test_the_relaxation_draws_tokens_as_often_as_they_should_come_and_hardens() -> None:
    shares = torch.tensor([0.6, 0.3, 0.1])
    logits = shares.log().view(1, 3, 1, 1).expand(1, 3, 150, 200)
    warm, cold = (relaxed(logits, temperature, torch.Generator().manual_seed(5)) for temperature in (1.0, 1 / 16))
    for drawn in (warm, cold):
        assert torch.allclose(drawn.sum(1), torch.ones(1, 150, 200), atol=1e-5)
        often = functional.one_hot(drawn.argmax(1), 3).float().mean((0, 1, 2))
        assert torch.allclose(often, shares, atol=0.01)
    assert float(cold.amax(1).mean()) > 0.97
    assert float(warm.amax(1).mean()) < 0.85


def test_gradients_go_through_the_relaxation() -> None:
    logits = torch.zeros(1, 4, 2, 2, requires_grad=True)
    relaxed(logits, 0.5, torch.Generator().manual_seed(1))[:, 0].sum().backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert bool((logits.grad != 0).all())


def test_every_token_is_heard_from_the_start() -> None:
    """A vector of unit variance for each, however many there are: else the encoder learns to say nothing."""
    torch.manual_seed(6)
    for vocabulary in (64, 2048):
        decoder = Decoder(dataclasses.replace(TINY, vocabulary=vocabulary, channels=(8, 8, 64)))
        told = decoder.conv_in(functional.one_hot(torch.arange(64), vocabulary).float()[:, :, None, None])
        assert float(told.detach().std()) == pytest.approx(1.0, abs=0.05)


def test_annealing_is_half_a_cosine() -> None:
    found = [annealed(1.0, 1 / 16, share) for share in (-1, 0, 0.5, 1, 2)]
    assert found == pytest.approx([1, 1, (1 + 1 / 16) / 2, 1 / 16, 1 / 16])
    assert annealed(0.0, 6.6, 0.25) == pytest.approx(6.6 * (1 - math.cos(math.pi / 4)) / 2)


def naive(kind: Kind, side: int, kernel: int) -> list[list[bool]]:
    """Figure 11 in words, a pair of places at a time."""
    count, reach = side * side, kernel // 2
    found = [[False] * count for _ in range(count)]
    for i in range(count):
        if kind == "row":  # "each image token attends to the previous 5 image tokens in raster order" of a grid of 4 x 4
            for j in range(max(0, i - side), i + 1):
                found[i][j] = True
        elif kind == "column":
            for above in range(i // side + 1):
                found[i][above * side + i % side] = True
        else:
            for up in range(reach + 1):
                for across in range(-reach, reach + 1):
                    j = i - up * side + across  # with wraparound: an index, whatever row it falls into
                    if 0 <= j <= i:
                        found[i][j] = True
    return found


@pytest.mark.parametrize("kind", ["row", "column", "convolution"])
@pytest.mark.parametrize(("side", "kernel"), [(4, 3), (5, 3), (6, 5)])
def test_masks_are_those_of_the_paper(kind: Kind, side: int, kernel: int) -> None:
    wanted = naive(kind, side, kernel)
    assert image_mask(kind, side, kernel).tolist() == wanted
    whole = whole_mask(kind, 6, side, kernel)
    assert whole[6:, 6:].tolist() == wanted
    assert whole[:6].tolist() == [[j <= i for j in range(6 + side * side)] for i in range(6)]
    assert bool(whole[6:, :6].all())


def test_one_row_of_each_mask_drawn_by_hand() -> None:
    """Token 9 of 16: the second of the third row."""
    rows = {kind: image_mask(kind, 4, 3)[9].nonzero().flatten().tolist() for kind in ("row", "column", "convolution")}
    assert rows == {"row": [5, 6, 7, 8, 9], "column": [1, 5, 9], "convolution": [4, 5, 6, 8, 9]}
    assert image_mask("convolution", 4, 3)[8].nonzero().flatten().tolist() == [3, 4, 5, 7, 8]  # around the left edge


def test_layers_look_as_the_paper_has_it() -> None:
    assert kinds(64)[:8] == ("row", "column", "row", "row", "row", "column", "row", "row")
    assert [i for i, kind in enumerate(kinds(64), 1) if kind == "column"] == list(range(2, 64, 4))
    assert kinds(64)[-1] == "convolution"
    assert kinds(64).count("convolution") == 1


def test_what_is_looked_up_is_what_the_mask_shows() -> None:
    mask = whole_mask("convolution", 3, 4, 3)
    places, counts = seen(mask, 3)
    for token, row in enumerate(mask[3:]):
        assert places[token][counts[token]].tolist() == row.nonzero().flatten().tolist()


def test_each_place_pads_with_a_token_of_its_own() -> None:
    ids = torch.tensor([[0, 5, 1, 1, 1], [0, 7, 8, 9, 1]])  # 1 ends and pads
    assert padded(ids, 1, 100).tolist() == [[0, 5, 1, 103, 104], [0, 7, 8, 9, 1]]


def test_each_kind_of_token_has_a_mean_of_its_own() -> None:
    rng = torch.Generator().manual_seed(2)
    said, shown = torch.randn(2, 3, 10, generator=rng), torch.randn(2, 4, 6, generator=rng)
    text, image = torch.tensor([[0, 4, 1, 13], [0, 5, 6, 1]]), torch.tensor([[0, 1, 2, 3], [5, 4, 3, 2]])
    words = [-float(said[row, i].log_softmax(0)[text[row, i + 1]]) for row in range(2) for i in range(3) if text[row, i + 1] < 10]
    tokens = [-float(shown[row, i].log_softmax(0)[image[row, i]]) for row in range(2) for i in range(4)]
    found = losses((said, shown), text, image)
    assert len(words) == 5
    assert [float(part) for part in found] == pytest.approx([sum(words) / 5, sum(tokens) / 8], rel=1e-5)


def test_the_transformer_sees_nothing_that_comes_later() -> None:
    networks = fresh()
    text = networks.text(["red rows", "blue columns"])
    image = torch.randint(TINY.vocabulary, (2, 16), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        said, shown = networks.transformer(text, image)
        image[:, 6] = (image[:, 6] + 1) % TINY.vocabulary
        again = networks.transformer(text, image)
    assert torch.equal(said, again[0])
    changed = (shown != again[1]).any(-1).any(0).tolist()
    assert changed[:7] == [False] * 7
    assert all(changed[7:11])


def test_drawing_token_by_token_is_the_whole_forward() -> None:
    """With keys and values kept, rows at different places in one forward; each layer kind takes part."""
    networks = fresh().transformer
    image = torch.randint(TINY.vocabulary, (2, 16), generator=torch.Generator().manual_seed(1))
    text = fresh().text(["red rows", "blue columns"])
    with torch.no_grad():
        wanted = networks(text, image)[1]
        begun = [networks.begin(*networks.read(row[None])) for row in text]
        memories = [memory for memory, _ in begun]
        found = [[first] for _, first in begun]
        for token in image[0, :5].tolist():
            found[0].append(networks.proceed(memories[:1], [token])[0])
        for place in range(15):
            rows = [row for row in range(2) if len(found[row]) < 16]
            logits = networks.proceed([memories[row] for row in rows], [int(image[row, len(found[row]) - 1]) for row in rows])
            for row, value in zip(rows, logits, strict=True):
                found[row].append(value)
            assert len(found[1]) == place + 2
    assert set(networks.kinds) == {"row", "column", "convolution"}
    for row in range(2):
        assert torch.allclose(torch.stack(found[row]), wanted[row], atol=1e-4)
    assert float(wanted.std()) > 0.1


@pytest.mark.parametrize(("config", "low", "high"), [(NetworkConfig(), 1.2e6, 1.6e6), (PAPER, 11.5e9, 12.6e9)], ids=["own", "paper"])
def test_the_shapes_of_both_sizes(config: NetworkConfig, low: float, high: float) -> None:
    with torch.device("meta"):
        encoder, decoder, transformer = Encoder(config), Decoder(config), Transformer(config)
        logits = encoder(torch.zeros(2, 3, config.image, config.image))
        statistics = decoder(logits)
        text = torch.zeros(2, config.length, dtype=torch.long)
        said, shown = transformer(text, torch.zeros(2, config.side**2, dtype=torch.long))
    assert logits.shape == (2, config.vocabulary, config.side, config.side)
    assert statistics.shape == (2, 6, config.image, config.image)
    assert said.shape == (2, config.length - 1, config.words)
    assert shown.shape == (2, config.side**2, config.vocabulary)
    assert low < sum(p.numel() for network in (encoder, decoder, transformer) for p in network.parameters()) < high
    assert NetworkConfig.of(json.loads(config.as_json())) == config


@pytest.mark.parametrize("change", [{"width": 113}, {"kernel": 4}, {"image": 63}, {"layers": 0}, {"channels": (8,) * 7}])
def test_sizes_that_do_not_fit_are_told(change: dict[str, object]) -> None:
    wrong = dataclasses.replace(NetworkConfig(), **change)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"fit together|no size"):
        NetworkConfig.of(json.loads(wrong.as_json()))
