"""What the small CLIP knows: retrieval among 128, colour against a swapped one and among all, and the baseline that sees colours only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from gesso.training.tokenizer import encode
from gesso_plugins.clip.batches import Pool
from gesso_plugins.clip.networks import Clip, to_pixels

GROUP = 128


@dataclass(frozen=True)
class Figures:
    """Shares of right answers on renders that were never trained on. ``colour_swap``: the right colour against one wrong
    colour, the mean over all wrong ones; ``colour_of_all``: against all of them at once.
    """

    renders: int
    text_to_image: float
    image_to_text: float
    text_to_image_at_5: float
    colour_swap: float
    colour_of_all: float

    def as_json(self) -> dict[str, Any]:
        """For the record."""
        return asdict(self)


@torch.no_grad()
def embed(clip: Clip, pool: Pool) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit vectors of a pool's pictures and captions."""
    clip.network.eval()
    images = torch.cat([clip.embed_images(to_pixels(shard)) for shard in pool.images])
    texts = torch.cat([clip.embed_texts(encode(clip.tokenizer, pool.captions[i : i + 256])) for i in range(0, len(pool), 256)])
    return images, texts


def retrieval(clip: Clip, pool: Pool, rank: int) -> tuple[float, float]:
    """R@`rank` of 128, text to image and image to text; equal captions in a group are equally right."""
    return _recall(*embed(clip, pool), pool.captions, rank)


def _recall(images: torch.Tensor, texts: torch.Tensor, captions: Sequence[str], rank: int) -> tuple[float, float]:
    hits = [0, 0]
    groups = len(captions) // GROUP
    for start in range(0, groups * GROUP, GROUP):
        rows = slice(start, start + GROUP)
        words = captions[rows]
        similar = (texts[rows] @ images[rows].T).cpu()
        for way, matrix in enumerate((similar, similar.T)):
            best = matrix.topk(rank, dim=1).indices.tolist()
            hits[way] += sum(words[i] in {words[j] for j in row} for i, row in enumerate(best))
    return hits[0] / (groups * GROUP), hits[1] / (groups * GROUP)


@torch.no_grad()
def colour(clip: Clip, pool: Pool, colours: Sequence[str]) -> tuple[float, float]:
    """How often "COLOUR MATERIAL" with the right colour fits a picture better than with another colour, and than with every other."""
    images, _ = embed(clip, pool)
    scores = []
    for i, label in enumerate(pool.labels):
        material = label["material"].replace("_", " ")
        texts = clip.embed_texts(encode(clip.tokenizer, [f"{colour} {material}" for colour in colours]))
        scores.append((texts @ images[i]).tolist())
    return _colour_shares(scores, pool, colours)


def _colour_shares(scores: Sequence[Sequence[float]], pool: Pool, colours: Sequence[str]) -> tuple[float, float]:
    """From a score for each picture and colour: (against one wrong colour, against all)."""
    beaten = []
    for row, label in zip(scores, pool.labels, strict=True):
        own = row[colours.index(label["colour"])]
        beaten.append(sum(own > score for score in row))
    wrong = len(colours) - 1
    return sum(beaten) / (len(beaten) * wrong), sum(count == wrong for count in beaten) / len(beaten)


def measure(clip: Clip, pool: Pool, colours: Sequence[str]) -> Figures:
    """All figures of a model on a pool."""
    first, fifth = retrieval(clip, pool, 1), retrieval(clip, pool, 5)
    return Figures(len(pool) // GROUP * GROUP, first[0], first[1], fifth[0], *colour(clip, pool, colours))


def histogram_baseline(trained: Pool, pool: Pool, colours: Sequence[str]) -> Figures:
    """What a colour histogram can do: the words' histogram is the mean over training renders of that colour and material.

    Retrieval compares histograms (Hellinger); a caption is known by its labels, which is more than the words say.
    """
    means = {key: np.mean(rows, 0) for key, rows in _by_label(trained).items()}
    blank = np.mean(list(means.values()), 0)

    def words(colour: str, material: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.asarray(means.get((colour, material), means.get((colour, ""), blank)))

    images = torch.from_numpy(np.stack([_histogram(pool.image(i)) for i in range(len(pool))]))
    texts = torch.from_numpy(np.stack([words(label["colour"], label["material"]) for label in pool.labels]))
    first, fifth = _recall(images, texts, pool.captions, 1), _recall(images, texts, pool.captions, 5)
    scores = [[float(words(name, label["material"]) @ images[i].numpy()) for name in colours] for i, label in enumerate(pool.labels)]
    return Figures(len(pool) // GROUP * GROUP, first[0], first[1], fifth[0], *_colour_shares(scores, pool, colours))


def _histogram(image: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Square roots of an 8 x 8 x 8 colour histogram: unit vectors whose product is Hellinger's affinity."""
    bins = (image // 32).reshape(-1, 3).astype(np.int64)
    counts = np.bincount(bins @ np.array([64, 8, 1]), minlength=512)
    return np.asarray(np.sqrt(counts / counts.sum()))


def _by_label(pool: Pool) -> dict[tuple[str, str], list[np.ndarray[Any, np.dtype[np.float64]]]]:
    """Histograms by (colour, material), and by (colour, "") over all materials."""
    rows: dict[tuple[str, str], list[np.ndarray[Any, np.dtype[np.float64]]]] = {}
    for i, label in enumerate(pool.labels):
        histogram = _histogram(pool.image(i))
        for material in (label["material"], ""):
            rows.setdefault((label["colour"], material), []).append(histogram)
    return rows
