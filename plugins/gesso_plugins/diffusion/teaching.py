"""How a LoRA is learned on a latent diffusion model: which layers, by what loss, and under which names it is kept. It optimises nothing,
and puts LoRAs on as those from files are put on.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gesso.errors import ModelError
from gesso.model import Conditioning, Factors, Lesson, Parametrisation, Plan
from gesso_plugins.diffusion.lora_file import Change

KOHYA = {"add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2"}
"""Layers of a UNet that peers know by their name in the original layout alone."""


def planned(network: nn.Module, plan: Plan, device: torch.device) -> Factors:
    """Factors for the layers of a denoiser."""
    shapes = {
        name: layer.weight.shape
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear) or (plan.layers == "all" and isinstance(layer, nn.Conv2d) and layer.groups == 1)
        if plan.layers == "all" or "attn" in name or "attention" in name
    }
    if not shapes:
        raise ModelError(f"The denoiser {type(network).__name__} has no layers that a LoRA could change.", hint="Take another model.")
    return Factors(shapes, plan, device)


def changes(factors: Factors) -> dict[str, Change]:
    """As LoRAs from files are held."""
    pairs = zip(factors.layers, factors.down, factors.up, strict=True)
    return {f"unet.{name}": Change(factors.scale(place), (down, up, None)) for place, (name, down, up) in enumerate(pairs)}


def tensors(factors: Factors, network: nn.Module) -> dict[str, Tensor]:
    """What a file holds: of a UNet in kohya's layout with its alpha, which every peer reads; of a transformer in that of diffusers, whose
    loaders refuse an alpha: there ``up`` is scaled.
    """
    unet = type(network).__name__.startswith("UNet")
    found = {}
    for place, (name, down, up) in enumerate(zip(factors.layers, factors.down, factors.up, strict=True)):
        if unet:
            key = f"lora_unet_{KOHYA.get(name, name).replace('.', '_')}"
            found[f"{key}.lora_down.weight"], found[f"{key}.lora_up.weight"] = _kept(down), _kept(up)
            found[f"{key}.alpha"] = torch.tensor(factors.scale(place) * len(down), dtype=torch.float16)
        else:
            key = f"transformer.{name}"
            found[f"{key}.lora_A.weight"], found[f"{key}.lora_B.weight"] = _kept(down), _kept(factors.scale(place) * up)
    return found


def noisy(lesson: Lesson, parametrisation: Parametrisation, device: torch.device) -> Tensor:
    """The lesson's latents at their noise levels, in the model's space."""
    sigma = lesson.sigmas.to(device).view(-1, 1, 1, 1)
    clean, noise = lesson.latents.to(device), lesson.noise.to(device)
    return (1 - sigma) * clean + sigma * noise if parametrisation.is_flow else clean + sigma * noise


def squared_error(x0: Tensor, lesson: Lesson, parametrisation: Parametrisation) -> Tensor:
    """The mean squared error of the network's own answer, told by that of x0.

    x0 is linear in what the network says: ``x0 = x - sigma * eps`` and likewise for a flow's velocity; for v of a variance-preserving
    process ``x0 = x / (1 + sigma^2) - v * sigma / sqrt(1 + sigma^2)`` (Salimans and Ho 2022, appendix D). So an error of x0 is one of the
    answer times that factor, and one formula serves every parametrisation.
    """
    error = (x0 - lesson.latents.to(x0.device)).square().mean((1, 2, 3))
    square = lesson.sigmas.to(x0.device).square()
    match parametrisation.prediction:
        case "epsilon" | "flow":
            error = error / square
        case "v_prediction":
            error = error * (1 + square) / square
        case "sample":
            pass
    return error.mean()


def stacked(conds: Sequence[Conditioning], device: torch.device) -> Conditioning:
    """Words of several rows as one."""
    pooled = [cond.pooled for cond in conds if cond.pooled is not None]
    extras = {name: torch.cat([cond.extras[name] for cond in conds]).to(device) for name in conds[0].extras}
    return Conditioning(torch.cat([cond.tokens for cond in conds]).to(device), torch.cat(pooled).to(device) if pooled else None, extras)


def _kept(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", torch.float16).contiguous()
