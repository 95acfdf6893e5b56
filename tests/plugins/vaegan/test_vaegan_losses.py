"""The terms of the VAE-GAN's losses against their formulas, its augmentations, and its networks' shapes at both sizes."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import nn

from gesso.model.seamless import make_seamless
from gesso.training.materials import MATERIALS
from gesso_plugins.starter.config import CORE_MATERIALS
from gesso_plugins.vaegan.augment import CHANGES, augmented
from gesso_plugins.vaegan.config import PAPER, NetworkConfig
from gesso_plugins.vaegan.losses import SHARPNESS, Scores, agreement, annealed, critic_loss, likeness, maker_loss, prior, slope_penalty
from gesso_plugins.vaegan.networks import Critic, Generator, ImageEncoder, Spread, TextEncoder, spread_words
from gesso_plugins.vaegan.watch import diversity, health

SCORES = Scores(torch.tensor([0.5, -1.0]), torch.tensor([0.2, 2.0]), torch.tensor([-0.3, 1.5]))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_the_prior_is_the_divergence_of_normals() -> None:
    """Against torch.distributions, which has a formula of its own."""
    spread = Spread(torch.tensor([[0.3, -1.2], [2.0, 0.0]]), torch.tensor([[0.1, -2.0], [0.7, 0.0]]))
    ours = torch.distributions.Normal(spread.mean, (spread.log_variance / 2).exp())
    unit = torch.distributions.Normal(torch.zeros(2, 2), torch.ones(2, 2))
    assert float(prior(spread)) == pytest.approx(float(torch.distributions.kl_divergence(ours, unit).mean()), rel=1e-5)


def test_words_agree_with_their_own_pictures_and_not_with_others() -> None:
    """Against torch's cross entropy where all differ; pictures of one kind may be taken for one another."""
    torch.manual_seed(2)
    pictures, words = torch.randn(2, 5, 7)
    found = torch.nn.functional.cosine_similarity(pictures[:, None], words[None], dim=2) * SHARPNESS
    own = torch.arange(5)
    wanted = (torch.nn.functional.cross_entropy(found, own) + torch.nn.functional.cross_entropy(found.T, own)) / 2
    assert float(agreement(pictures, words, torch.eye(5))) == pytest.approx(float(wanted), rel=1e-5)
    assert float(agreement(words, words, torch.eye(5))) < 0.3 * float(wanted)
    swapped = words[[1, 0, 2, 3, 4]]
    alike = torch.eye(5)
    alike[0, 1] = alike[1, 0] = 1.0
    assert float(agreement(words, swapped, alike)) == pytest.approx(float(agreement(swapped, words, alike)), rel=1e-4)
    assert float(agreement(words, swapped, alike)) < float(agreement(words, swapped, torch.eye(5)))


def test_a_weight_goes_from_its_first_to_its_last_and_stays_there() -> None:
    assert [annealed((5.0, 0.5), done) for done in (0.0, 0.5, 1.0, 7.0)] == [5.0, 2.75, 0.5, 0.5]


def test_a_draw_has_its_mean_and_deviation_and_carries_gradients() -> None:
    mean, log_variance = torch.full((1,), 3.0, requires_grad=True), torch.full((1,), math.log(4.0), requires_grad=True)
    drawn = Spread(mean, log_variance).drawn(torch.tensor([1.5]))
    assert float(drawn.detach()) == pytest.approx(3.0 + 2.0 * 1.5)
    drawn.backward()  # type: ignore[no-untyped-call]
    assert mean.grad is not None
    assert log_variance.grad is not None
    assert (float(mean.grad), float(log_variance.grad)) == pytest.approx((1.0, 1.5))  # d/d log variance = deviation * noise / 2


def test_likeness_is_minus_a_normal_density() -> None:
    made, real = torch.tensor([[0.0, 1.0]]), torch.tensor([[2.0, 0.5]])
    assert float(likeness(made, real)) == pytest.approx((0.5 * 4 + 0.5 * 0.25) / 2)


def test_the_critic_is_told_of_wrong_words() -> None:
    """Reed's algorithm 1 with logarithms written out; without the wrong words, or with their full weight, these differ."""
    expected = 0.0
    for real, wrong, made in zip(*(part.tolist() for part in vars(SCORES).values()), strict=True):
        expected -= math.log(sigmoid(real)) + (math.log(1 - sigmoid(wrong)) + math.log(1 - sigmoid(made))) / 2
    assert float(critic_loss(SCORES, "bce")) == pytest.approx(expected / 2, rel=1e-5)
    assert float(critic_loss(SCORES, "wasserstein")) == pytest.approx((1.1 + 0.6) / 2 - (-0.25), rel=1e-5)
    assert float(maker_loss(SCORES.made, "bce")) == pytest.approx(-sum(math.log(sigmoid(x)) for x in (-0.3, 1.5)) / 2, rel=1e-5)
    assert float(maker_loss(SCORES.made, "wasserstein")) == pytest.approx(-0.6)


def test_the_penalty_is_the_slopes_distance_from_one() -> None:
    """A linear critic has one slope everywhere: here 3, so (3 - 1)^2; its gradient pulls the slope back."""
    weight = torch.zeros(3, 4, 4)
    weight[0, 0, 0] = 3.0
    weight.requires_grad_(True)
    real, made = torch.randn(2, 2, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    penalty = slope_penalty(lambda x: (x * weight).sum((1, 2, 3)), real, made, torch.tensor([0.25, 0.5]))
    assert float(penalty.detach()) == pytest.approx(4.0)
    penalty.backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert float(weight.grad[0, 0, 0]) == pytest.approx(4.0)


def test_the_penalty_goes_through_a_seamless_critic() -> None:
    """Twice differentiated through the circular padding, its gradient is that of finite differences."""
    torch.manual_seed(3)
    critic = Critic((4, 4), 3, spectral=False).double()
    words, shares = torch.randn(2, 3).double(), torch.tensor([0.3, 0.6]).double()
    real, made = torch.randn(2, 2, 3, 8, 8).double()

    def penalty() -> torch.Tensor:
        return slope_penalty(lambda x: critic(x, words).score, real, made, shares)

    padding = make_seamless(critic)
    (slope,) = torch.autograd.grad(penalty(), critic.enter.weight)
    step, place = 1e-5, (1, 2, 0, 1)
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            critic.enter.weight[place] += sign * step
        values.append(float(penalty().detach()))
        with torch.no_grad():
            critic.enter.weight[place] -= sign * step
    padding.eject()
    assert float(slope[place]) == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-3)


def test_spectral_norm_holds_every_layer_of_the_critic() -> None:
    torch.manual_seed(4)
    critic = Critic((8, 8), 3, spectral=True)
    for _ in range(30):
        critic(torch.randn(1, 3, 8, 8), torch.randn(1, 3))
    critic.eval()
    layers = [layer for layer in critic.modules() if isinstance(layer, nn.Conv2d)]
    assert len(layers) == 5
    for layer in layers:
        assert float(torch.linalg.matrix_norm(layer.weight.flatten(1), 2).detach()) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("name", CHANGES)
def test_every_augmentation_is_drawn_by_row_and_passes_gradients(name: str) -> None:
    pictures = torch.rand(8, 3, 8, 8, generator=torch.Generator().manual_seed(5)).requires_grad_(True)
    changed = augmented(pictures, (name,), torch.Generator().manual_seed(6))
    assert torch.equal(changed, augmented(pictures, (name,), torch.Generator().manual_seed(6)))
    assert not torch.equal(changed, augmented(pictures, (name,), torch.Generator().manual_seed(7)))
    changed.sum().backward()  # type: ignore[no-untyped-call]
    assert pictures.grad is not None
    assert bool((pictures.grad.flatten(1).abs().sum(1) > 0).all())
    if name == "shift":
        assert torch.equal(changed.flatten(1).sort().values, pictures.flatten(1).sort().values)
    if name == "cutout":
        assert bool(((changed == 0).sum((1, 2, 3)) == 3 * 16).all())


def test_diversity_is_nought_where_all_are_the_same() -> None:
    assert diversity(torch.ones(3, 3, 8, 8)) == 0
    assert diversity(torch.stack([torch.zeros(3, 8, 8), torch.full((3, 8, 8), 0.5)])) == pytest.approx(0.5)
    assert health(0.1, 1.0, 0.25).collapsed
    assert "COLLAPSED" in health(0.1, 1.0, 0.25).sentence()
    assert not health(0.5, 1.0, 0.25).collapsed
    assert not health(0.5, 0.0, 0.25).collapsed


@pytest.mark.parametrize(("config", "most"), [(NetworkConfig(), 2_000_000), (PAPER, 110_000_000)], ids=["own", "paper"])
def test_the_shapes_of_both_sizes(config: NetworkConfig, most: int) -> None:
    with torch.device("meta"):
        text, encoder = TextEncoder(config), ImageEncoder(config.encoder, config.latent, config.words)
        generator = Generator(config)
        critic = Critic(config.critic, config.words, spectral=True)
        words = text(torch.zeros(2, config.length, dtype=torch.long))[1]
        spread, described = encoder(torch.zeros(2, 3, 64, 64))
        seeds = spread.mean
        pictures = generator(seeds, spread_words(words, seeds))
        judged = critic(pictures, words)
    assert words.shape == described.shape == (2, config.words)
    assert seeds.shape == (2, config.latent, 64 // config.factor, 64 // config.factor)
    assert pictures.shape == (2, 3, 64, 64)
    assert judged.score.shape == (2,)
    assert judged.features.shape == (2, config.critic[-2], 8, 8)
    count = sum(p.numel() for network in (text, encoder, generator, critic) for p in network.parameters())
    assert most / 2 < count < most
    assert NetworkConfig.of(json.loads(config.as_json())) == config


def test_it_learns_what_the_starter_learns() -> None:
    assert len(MATERIALS) == 12
    assert set(MATERIALS) <= set(CORE_MATERIALS)
