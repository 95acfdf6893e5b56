"""Perturbations: one row of a call computed with part of the network spoiled on purpose, so that guidance can lead away from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PerturbationKind = Literal["attention", "skip"]


@dataclass(frozen=True)
class Perturbation:
    """``attention``: the self-attention of ``layers`` lets each place see only itself (Ahn et al. 2024: the map is the identity).
    ``skip``: the transformer blocks of ``layers`` add nothing to what passes them. The names are those of the card's ``layers``, or of
    parts of these.
    """

    kind: PerturbationKind
    layers: tuple[str, ...]
