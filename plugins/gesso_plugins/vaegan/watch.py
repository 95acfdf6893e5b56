"""Watches for collapse: how much the pictures of one caption differ, against how much renders of one material and colour do."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from gesso_plugins.vaegan.data import KindPool, to_tensor

COARSE = 4


def diversity(pictures: torch.Tensor) -> float:
    """The mean root-mean-square distance between every two of (N, 3, H, W), seen four times as coarse: 0 where all are the same."""
    coarse = functional.avg_pool2d(pictures, COARSE).flatten(1)
    return float(functional.pdist(coarse).mean()) / math.sqrt(coarse.shape[1])


def render_diversity(pool: KindPool, seeds: int) -> float:
    """The same of renders of one kind, up to `seeds` of each, over all kinds with at least two; 0 where there are none."""
    found = [members[:seeds] for members in pool.members.values() if len(members) > 1]
    return _mean(diversity(to_tensor(np.stack([pool.image(i) for i in group]))) for group in found)


def made_diversity(groups: Iterable[torch.Tensor]) -> float:
    """The same of made pictures, a group for each caption."""
    return _mean(diversity(group) for group in groups)


@dataclass(frozen=True)
class Health:
    """share: of the renders' diversity; collapsed: below what is allowed."""

    share: float
    collapsed: bool

    def sentence(self) -> str:
        """For the log."""
        return f"pictures of one caption differ {self.share:.2f} times as much as renders do" + (": COLLAPSED" if self.collapsed else "")


def health(made: float, renders: float, least: float) -> Health:
    """The verdict. Renders that do not differ set no standard: then nothing counts as collapsed."""
    share = made / renders if renders > 0 else 1.0
    return Health(share, share < least)


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else 0.0
