"""A LoRA at work: its factors with their optimiser. What it is shown, and by which model, is not its business."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from gesso.model import Factors
from gesso.training import ema
from gesso.training.checkpoint import Checkpoint, load_checkpoint, optimiser_tensors, restore_optimiser, save_checkpoint
from gesso.training.muon import Muon
from gesso.training.run import descend


class Pupil(ema.Trained):
    """AdamW on all factors, their gradients clipped together."""

    def __init__(self, factors: Factors, rate: float) -> None:
        self.factors = factors
        group = {"params": list(factors.parameters()), "matrix": False, "lr": rate, "base_lr": rate, "weight_decay": 0.01}
        self.optimiser = Muon([group])

    def named_tensors(self) -> dict[str, torch.Tensor]:
        """Every factor."""
        return {name: value.detach() for name, value in self.factors.named_parameters()}

    def descend(self, loss: torch.Tensor, factor: float) -> None:
        """One step down the gradient of ``loss``, at ``factor`` of the learning rate."""
        with torch.enable_grad():
            descend(self.optimiser, [self.factors], loss, factor)

    def save(self, folder: Path, facts: dict[str, Any]) -> None:
        """Where it stands, with everything that it takes to go on to equal bits; the checkpoint before stays until this one is whole."""
        tensors = self.named_tensors() | optimiser_tensors(self.optimiser)
        save_checkpoint(folder, Checkpoint({name: value.cpu() for name, value in tensors.items()}, facts))

    def restore(self, folder: Path) -> dict[str, Any] | None:
        """Go on from a checkpoint; its facts, or None where there is none."""
        checkpoint = load_checkpoint(folder)
        if checkpoint is None:
            return None
        self.load_tensors(checkpoint.tensors)
        device = next(self.factors.parameters()).device
        restore_optimiser(self.optimiser, {name: value.to(device) for name, value in checkpoint.tensors.items()})
        return checkpoint.facts
