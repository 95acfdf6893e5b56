"""What a run shows of itself: pictures beside what the autoencoder makes of them, and pictures of captions, drawn token by token."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from gesso.math import uniform
from gesso.model import TokenChoice
from gesso.training.sheet import save_sheet
from gesso_plugins.dalle.autoencoder import tokens_of
from gesso_plugins.dalle.storage import Networks


@torch.no_grad()
def again(networks: Networks, pictures: torch.Tensor) -> torch.Tensor:
    """Pictures (N, 3, S, S) in 0..1 through their likeliest tokens."""
    return networks.decoder.picture(tokens_of(networks.encoder(pictures)))


@torch.no_grad()
def drawn(networks: Networks, captions: list[str], seeds: list[int], choice: TokenChoice) -> torch.Tensor:
    """Pictures (N, 3, S, S) in 0..1 of captions, one seed each, as `generate` draws them, all in one forward a token."""
    transformer, count = networks.transformer, networks.config.side**2
    begun = [transformer.begin(*transformer.read(networks.text([caption]))) for caption in captions]
    memories, logits = [memory for memory, _ in begun], torch.stack([first for _, first in begun])
    draws = [uniform(2 * count, seed) for seed in seeds]
    tokens = torch.empty(len(captions), count, dtype=torch.long)
    for place in range(count):
        if place:
            logits = transformer.proceed(memories, tokens[:, place - 1].tolist())
        for row, mine in enumerate(draws):
            tokens[row, place] = choice.draw(logits[row], float(mine[place]))[0]
    side = networks.config.side
    return networks.decoder.picture(tokens.view(-1, side, side))


def save(path: Path, rows: list[torch.Tensor], titles: list[str]) -> None:
    """A contact sheet of pictures in 0..1, a row for each (N, 3, S, S), with the titles (N) above each row."""
    pictures = [_bytes(row) for row in rows]
    save_sheet(path, np.concatenate(pictures), titles * len(rows), columns=len(titles))


def _bytes(pictures: torch.Tensor) -> npt.NDArray[np.uint8]:
    return (pictures * 255 + 0.5).byte().permute(0, 2, 3, 1).numpy()
