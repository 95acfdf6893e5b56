"""Checkpoints: a folder with tensors (safetensors: nothing in it runs) and what else a run must remember (JSON), replaced atomically."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save

from gesso.training.files import read_json, write_atomically, write_json


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, and the facts of the run (step, hours, data position, configuration)."""

    tensors: dict[str, torch.Tensor]
    facts: dict[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write both files into a new folder and put it in the place of the old one."""

    def write(target: Path) -> None:
        target.mkdir(parents=True)
        content = save({name: value.detach().contiguous() for name, value in checkpoint.tensors.items()})
        (target / "state.safetensors").write_bytes(content)
        write_json(target / "state.json", checkpoint.facts)

    write_atomically(folder, write)


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """Read a checkpoint, or None where there is none."""
    if not (folder / "state.json").exists():
        return None
    return Checkpoint(load_file(folder / "state.safetensors"), read_json(folder / "state.json"))


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The optimiser's state, named by the place of each parameter in its groups."""
    return {
        f"optimiser.{g}.{p}.{key}": value.clone()
        for g, group in enumerate(optimiser.param_groups)
        for p, parameter in enumerate(group["params"])
        for key, value in optimiser.state[parameter].items()
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    """Put a saved state back."""
    for name, value in tensors.items():
        if name.startswith("optimiser."):
            _, group, place, key = name.split(".")
            parameter = optimiser.param_groups[int(group)]["params"][int(place)]
            optimiser.state[parameter][key] = value.clone()


def prefixed(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Names put under a prefix."""
    return {f"{prefix}.{name}": value for name, value in tensors.items()}


def under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors under a prefix, without it."""
    start = prefix + "."
    return {name[len(start) :]: value for name, value in tensors.items() if name.startswith(start)}
