"""Random LoRAs for a pipeline in every layout in use, and the same put into a pipeline of diffusers by adding to its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gesso_plugins.diffusion.original_names import of_unet_settings, unet_names

Factors = tuple[Tensor, Tensor]
RANK, ALPHA = 2, 3.0


def layers_of(pipeline: Any) -> dict[tuple[str, str], nn.Module]:
    """Some layers of each network: attention, a projection, a convolution, and layers of the text encoders."""
    found = {}
    for component in ("unet", "text_encoder", "text_encoder_2"):
        network = getattr(pipeline, component, None)
        for name, layer in () if network is None else network.named_modules():
            wanted = ("to_k", "to_out.0", "proj_in", "conv1", "ff.net.2") if component == "unet" else ("q_proj", "fc1")
            if isinstance(layer, (nn.Linear, nn.Conv2d)) and name.endswith(wanted):
                found[component, name] = layer
    return found


def factors(pipeline: Any, seed: int) -> dict[tuple[str, str], Factors]:
    """Down and up for each layer."""
    made = {}
    generator = torch.Generator().manual_seed(seed)
    for place, layer in layers_of(pipeline).items():
        shape = layer.weight.shape
        down = torch.randn(RANK, *shape[1:], generator=generator) * shape[1:].numel() ** -0.5
        up = torch.randn(shape[0], RANK, *[1] * (len(shape) - 2), generator=generator) * 0.3
        made[place] = (down, up)
    return made


def merge(pipeline: Any, deltas: Mapping[tuple[str, str], Tensor], weight: float) -> None:
    """Add to the weights."""
    with torch.no_grad():
        for (component, name), delta in deltas.items():
            layer = getattr(pipeline, component).get_submodule(name)
            layer.weight += weight * delta.reshape(layer.weight.shape)


def low_rank(made: Mapping[tuple[str, str], Factors]) -> dict[tuple[str, str], Tensor]:
    return {place: ALPHA / RANK * (up.flatten(1) @ down.flatten(1)) for place, (down, up) in made.items()}


def bare(name: str) -> str:
    return name.removeprefix("text_model.")


def write_diffusers(made: Mapping[tuple[str, str], Factors], path: Path) -> Path:
    """As diffusers and peft write it; alpha stands in the metadata."""
    weights = {}
    for (component, name), (down, up) in made.items():
        key = f"unet.{name}" if component == "unet" else f"{component}.text_model.{bare(name)}"
        weights[f"{key}.lora_A.weight"], weights[f"{key}.lora_B.weight"] = down, up
    told = ", ".join(f'"{network}.lora_alpha": {ALPHA}, "{network}.r": {RANK}' for network in ("unet", "text_encoder", "text_encoder_2"))
    save_file(weights, path, metadata={"lora_adapter_metadata": "{" + told + "}"})
    return path


def write_old_diffusers(made: Mapping[tuple[str, str], Factors], path: Path) -> Path:
    """As diffusers wrote attention before peft, alpha beside it."""
    weights = {}
    for (component, name), (down, up) in made.items():
        if component == "unet" and "attn" in name:
            block, _, leaf = name.rpartition(".attn")
            number, _, part = leaf.partition(".")
            key = f"unet.{block}.attn{number}.processor.{part.removesuffix('.0')}_lora"
            weights[f"{key}.down.weight"], weights[f"{key}.up.weight"] = down, up
            weights[f"{key.removesuffix('_lora')}.alpha"] = torch.tensor(ALPHA)
    save_file(weights, path)
    return path


def write_kohya(made: Mapping[tuple[str, str], Factors], path: Path, pipeline: Any, *, original: bool = False) -> Path:
    """As kohya's scripts write it, under the UNet's names in diffusers or in the original layout."""
    name_of = kohya_names(pipeline, original)
    weights = {}
    for place, (down, up) in made.items():
        key = name_of(place)
        weights[f"{key}.lora_down.weight"], weights[f"{key}.lora_up.weight"] = down, up
        weights[f"{key}.alpha"] = torch.tensor(ALPHA)
    save_file(weights, path)
    return path


def kohya_names(pipeline: Any, original: bool) -> Callable[[tuple[str, str]], str]:
    names = unet_names(of_unet_settings(dict(pipeline.unet.config))).turned()
    two = getattr(pipeline, "text_encoder_2", None) is not None
    te = {"text_encoder": "lora_te1_" if two else "lora_te_", "text_encoder_2": "lora_te2_"}

    def name_of(place: tuple[str, str]) -> str:
        component, name = place
        if component == "unet":
            return "lora_unet_" + str(names.renamed(name) if original else name).replace(".", "_")
        return te[component] + "text_model_" + bare(name).replace(".", "_")

    return name_of


def lengths(pipeline: Any, made: Mapping[tuple[str, str], Factors], *, inputs: bool) -> dict[tuple[str, str], Tensor]:
    """Magnitudes for each output or each input: those of the weights, changed a little."""
    generator, found = torch.Generator().manual_seed(9), {}
    for component, name in made:
        weight = getattr(pipeline, component).get_submodule(name).weight.detach()
        axes = [axis for axis in range(weight.dim()) if axis != int(inputs)]
        norms = torch.linalg.vector_norm(weight, dim=axes, keepdim=True)
        found[component, name] = norms * (1 + 0.3 * torch.randn(norms.shape, generator=generator))
    return found


def decomposed(pipeline: Any, made: Mapping[tuple[str, str], Factors], magnitudes: Mapping[tuple[str, str], Tensor]) -> dict[Any, Tensor]:
    """W' - W by the paper's equation 5: the direction of the changed weight, times the magnitude."""
    found = {}
    for place, delta in low_rank(made).items():
        weight = getattr(pipeline, place[0]).get_submodule(place[1]).weight.detach()
        whole = weight + delta.reshape(weight.shape)
        axes = [axis for axis in range(weight.dim()) if magnitudes[place].shape[axis] == 1]
        found[place] = magnitudes[place] * whole / torch.linalg.vector_norm(whole, dim=axes, keepdim=True) - weight
    return found


def write_dora(
    made: Mapping[tuple[str, str], Factors], magnitudes: Mapping[tuple[str, str], Tensor], path: Path, pipeline: Any, kind: str
) -> Path:
    """kohya and LyCORIS keep `dora_scale` in the shape that broadcasts; peft a vector, of a convolution behind an axis of one."""
    if kind != "peft":
        weights = load_file(write_kohya(made, path, pipeline))
        name_of = kohya_names(pipeline, False)
        save_file(weights | {f"{name_of(place)}.dora_scale": value.contiguous() for place, value in magnitudes.items()}, path)
        return path
    with safe_open(write_diffusers(made, path), "pt") as file:
        weights, told = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118
    for (component, name), value in magnitudes.items():
        key = f"unet.{name}" if component == "unet" else f"{component}.text_model.{bare(name)}"
        weights[f"{key}.lora_magnitude_vector"] = value.view(1, -1, 1, 1) if value.dim() == 4 else value.flatten()
    save_file(weights, path, metadata=told)
    return path


def write_lycoris(pipeline: Any, path: Path, kind: str) -> dict[tuple[str, str], Tensor]:
    """LoHa or LoKr; what each comes to is worked out here by indices, not by the formula of the reader."""
    generator = torch.Generator().manual_seed(5)
    name_of, weights, deltas = kohya_names(pipeline, False), {}, {}

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator) * 0.4

    for place, layer in layers_of(pipeline).items():
        out, into = layer.weight.shape[0], layer.weight.shape[1:].numel()
        key = name_of(place)
        if kind == "loha":
            parts = {
                "hada_w1_a": draw(out, RANK),
                "hada_w1_b": draw(RANK, into),
                "hada_w2_a": draw(out, RANK),
                "hada_w2_b": draw(RANK, into),
            }
            one = sum(torch.outer(parts["hada_w1_a"][:, r], parts["hada_w1_b"][r]) for r in range(RANK))
            two = sum(torch.outer(parts["hada_w2_a"][:, r], parts["hada_w2_b"][r]) for r in range(RANK))
            delta = one * two
        else:
            parts = {"lokr_w1": draw(2, 2), "lokr_w2_a": draw(out // 2, RANK), "lokr_w2_b": draw(RANK, layer.weight.shape[1] // 2)}
            if len(layer.weight.shape) == 4:
                kernel = layer.weight.shape[2:]
                parts = {"lokr_w1": draw(2, 2), "lokr_w2": draw(out // 2, layer.weight.shape[1] // 2, *kernel)}
            second = parts["lokr_w2"] if "lokr_w2" in parts else parts["lokr_w2_a"] @ parts["lokr_w2_b"]
            rows = [torch.cat([parts["lokr_w1"][i, j] * second for j in range(2)], dim=1) for i in range(2)]
            delta = torch.cat(rows, dim=0)
        whole = kind == "lokr" and "lokr_w2" in parts
        deltas[place] = delta * (1.0 if whole else ALPHA / RANK)
        weights |= {f"{key}.{part}": value for part, value in parts.items()}
        weights[f"{key}.alpha"] = torch.tensor(ALPHA)
    save_file(weights, path)
    return deltas
