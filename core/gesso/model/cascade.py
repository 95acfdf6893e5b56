"""Models that make a picture in parts, each a denoiser of its own: an embedding of a picture from words, a small picture from that, a large
one from the small one (Ramesh et al. 2022, arXiv 2204.06125, section 2). What each part is to whoever runs it, and no more.
"""

from __future__ import annotations

from dataclasses import dataclass

from gesso.model.parametrisation import Parametrisation


@dataclass(frozen=True)
class Part:
    """One part. steps, guidance: what it does best with. clip: the largest number that its x0 may hold (after guidance); None: any.

    spread: it learned how much noise each step adds, and denoises twice as many channels as it has: the second half of x is ignored, and
    the second half of the answer is 0 where the smaller and 1 where the larger variance is meant, in logs between
    (`gesso.engine.Denoised`).
    """

    parametrisation: Parametrisation
    steps: int
    guidance: float = 1.0
    clip: float | None = None
    spread: bool = False


@dataclass(frozen=True)
class Cascade:
    """What a model with the capability ``cascade`` is made of; it answers `gesso.engine.Denoise` for all parts, and tells them apart by
    what the conditioning has among its ``extras``.

    ``prior`` (capability ``imagine``): x (1, D, 1, 1) is the embedding of a picture, ``width`` = D numbers; its conditioning is what
    ``encode_text`` gives, and the method ``embedding`` makes (1, D) of what was sampled. ``decoder``: x is a picture in -1..1 of the
    card's ``latent``; beside the words it has ``embedding`` (1, D) and ``heard`` (1, 1), 0 where the embedding is to be left unheard.
    ``upsampler``: x is the picture at its full size; ``small`` (1, C, h, w) is what the decoder made, and no words are heard. Where there
    is none, the decoder's picture is the whole.

    The capability ``view``: ``encode_image`` gives the embedding (B, D, 1, 1) of pictures, in the space of ``encode_text``'s ``pooled``.
    """

    width: int
    decoder: Part
    prior: Part | None = None
    upsampler: Part | None = None
