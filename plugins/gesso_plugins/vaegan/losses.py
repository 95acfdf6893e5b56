"""The terms of the VAE-GAN's losses, each a mean over rows. Nothing here knows of networks but the slope's penalty, which asks a critic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

from gesso_plugins.vaegan.config import Adversary
from gesso_plugins.vaegan.networks import Spread

SHARPNESS = 10.0
"""By what the cosines of pictures and words are multiplied."""
Score = Callable[[torch.Tensor], torch.Tensor]
"""Pictures (N, 3, H, W) to scores (N,)."""


@dataclass(frozen=True)
class Scores:
    """The critic's scores (N,): of real pictures with their words, of real ones with the words of others, and of made ones."""

    real: torch.Tensor
    wrong: torch.Tensor
    made: torch.Tensor


def prior(spread: Spread) -> torch.Tensor:
    """The divergence of the seeds from unit noise, per number (Larsen et al. 2016, equation 5; Kingma and Welling 2014, appendix B)."""
    return 0.5 * (spread.mean.square() + spread.log_variance.exp() - 1 - spread.log_variance).mean()


def annealed(weights: tuple[float, float], done: float) -> float:
    """From the first weight to the second as `done` goes from 0 to 1; the second from there on."""
    first, last = weights
    return first + (last - first) * min(1.0, done)


def likeness(made: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Minus the logarithm of a normal density of unit variance around the critic's features, per number (Larsen et al. 2016, equations 7
    and 8).
    """
    return 0.5 * (made - real).square().mean()


def agreement(pictures: torch.Tensor, words: torch.Tensor, alike: torch.Tensor) -> torch.Tensor:
    """How badly pictures (N, P) and words (N, P) find one another in the batch, both ways (the joint embedding of Reed et al. 2016, section
    4.1, with the softmax of Radford et al. 2021, figure 3). ``alike`` (N, N): which of them show, and say, the same.
    """
    found = functional.normalize(pictures, dim=1) @ functional.normalize(words, dim=1).T * SHARPNESS
    wanted = alike / alike.sum(1, keepdim=True)
    both = found.log_softmax(1) + found.T.log_softmax(1)
    return -(wanted * both).sum(1).mean() / 2


def critic_loss(scores: Scores, adversary: Adversary) -> torch.Tensor:
    """What the critic minimises: -log D(real, words) - (log(1 - D(real, wrong words)) + log(1 - D(made, words))) / 2, where D is the
    score's sigmoid (Reed et al. 2016, algorithm 1); or the same weights on the scores themselves (Arjovsky et al. 2017, equation 2).
    """
    if adversary == "bce":
        amiss = functional.softplus(scores.wrong).mean() + functional.softplus(scores.made).mean()
        return functional.softplus(-scores.real).mean() + amiss / 2
    return (scores.wrong.mean() + scores.made.mean()) / 2 - scores.real.mean()


def maker_loss(made: torch.Tensor, adversary: Adversary) -> torch.Tensor:
    """What the generator minimises: -log D(made, words) (Reed et al. 2016, algorithm 1), or minus the score."""
    return functional.softplus(-made).mean() if adversary == "bce" else -made.mean()


def slope_penalty(score: Score, real: torch.Tensor, made: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """The squared deviation from one of the critic's slope between real and made pictures, at `shares` (N,) of the way (Gulrajani et al.
    2017, equation 3).
    """
    between = torch.lerp(real.detach(), made.detach(), shares[:, None, None, None]).requires_grad_(True)
    (slope,) = torch.autograd.grad(score(between).sum(), between, create_graph=True)
    penalty: torch.Tensor = (slope.flatten(1).norm(dim=1) - 1).square().mean()
    return penalty
