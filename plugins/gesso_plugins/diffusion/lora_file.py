"""Reads LoRA files of every layout in use (diffusers and peft, kohya, LyCORIS) into changes by the names that they use. It knows no network
and applies nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from gesso.errors import ModelError
from gesso_plugins.diffusion.files import read_header
from gesso_plugins.diffusion.source import read_tensors

_PARTS = (
    r"lora[._]down|lora[._]up|lora_mid|lora_A|lora_B|lora_linear_layer\.down|lora_linear_layer\.up|down|up|"
    r"hada_[wt][12](?:_[ab])?|lokr_[wt][12](?:_[ab])?|alpha|diff|diff_b|dora_scale|lora_magnitude_vector|w_norm|b_norm|on_input"
)
_KEY = re.compile(rf"(?P<module>.+?)(?:_lora)?\.(?P<part>{_PARTS})(?:\.default)?(?:\.weight)?")
_PEFT = {"lora_A": "down", "lora_B": "up", "lora_magnitude_vector": "dora_scale"}
Forward = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Change:
    """What is added to one layer: ``scale`` times a weight that is kept in factors.

    ``low``: (down, up, mid or None), whose product is never formed; ``full``: for kinds that must form it, from their factors, each time.
    ``magnitude``: of a weight that is decomposed (DoRA), the length that its rows or columns get; see `lora_decomposed`.
    """

    scale: float
    low: tuple[Tensor, Tensor, Tensor | None] | None = None
    full: Callable[[], Tensor] | None = None
    magnitude: Tensor | None = None

    def weight(self, shape: torch.Size) -> Tensor:
        """The whole of it, unscaled, for a layer of this shape."""
        if self.full is not None:
            return self.full().reshape(shape)
        assert self.low is not None
        down, up, mid = self.low
        if mid is not None:
            return torch.einsum("ir,rskl,sj->ijkl", up.flatten(1), mid, down.flatten(1)).reshape(shape)
        return (up.flatten(1) @ down.flatten(1)).reshape(shape)


def read_changes(path: Path, device: torch.device, dtype: torch.dtype) -> dict[str, Change]:
    """Module, as the file calls it -> change. ModelError for a file that is no LoRA, or of a kind that is not known."""
    tensors = {key: value.to(dtype, copy=True) for key, value in read_tensors(path, device).items()}
    parts: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        match = _KEY.fullmatch(key)
        if match is None:
            raise ModelError(f"{path} is no LoRA that Gesso knows: it holds {key}.", hint="`gesso models info` says what a file is.")
        flat = match["part"] == "lora_magnitude_vector"  # always of outputs, whatever peft's shape for a convolution looks like
        parts.setdefault(match["module"], {})[_part(match["part"])] = value.flatten() if flat else value
    alphas = _alphas(path)
    found = {}
    for module, given in parts.items():
        if set(given) != {"alpha"}:
            found[module] = _change(path, module, given, _alpha_of(alphas, module))
    return found


def modules(path: Path) -> dict[str, tuple[int, ...]]:
    """Key -> shape, from the header alone; ModelError for a file that is no LoRA."""
    header = {key: shape for key, (_, shape) in read_header(path).items()}
    strange = next((key for key in header if _KEY.fullmatch(key) is None), None)
    if strange is not None or not header:
        raise ModelError(f"{path} is no LoRA that Gesso knows: it holds {strange}.", hint="`gesso models info` says what a file is.")
    return header


def _part(name: str) -> str:
    name = _PEFT.get(name, name)
    for prefix in ("lora_linear_layer.", "lora.", "lora_"):
        name = name.removeprefix(prefix)
    return name


def _alphas(path: Path) -> Mapping[str, float]:
    """Peft's settings, which diffusers writes into the metadata: ``network.lora_alpha``, and ``network.alpha_pattern`` by module."""
    from gesso.library import read_header as header_of

    try:
        told = json.loads(header_of(path).metadata.get("lora_adapter_metadata", "{}"))
        found: dict[str, float] = {}
        for key, value in told.items():
            network, _, name = key.partition(".")
            if name == "lora_alpha":
                found[network] = float(value)
            elif name == "alpha_pattern" and isinstance(value, dict):
                found |= {f"{network}.{module}": float(alpha) for module, alpha in value.items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as fault:
        raise ModelError(f"The metadata of {path} cannot be read: {fault}.", hint="Export the LoRA again.") from fault
    return found


def _alpha_of(alphas: Mapping[str, float], module: str) -> float | None:
    return alphas.get(module, alphas.get(module.partition(".")[0]))


def _change(path: Path, module: str, given: dict[str, Tensor], told: float | None) -> Change:
    magnitude = given.pop("dora_scale", None)
    if magnitude is not None:
        return replace(_change(path, module, given, told), magnitude=magnitude)
    alpha = float(given.pop("alpha")) if "alpha" in given else told
    names = set(given)
    if names in ({"down", "up"}, {"down", "up", "mid"}):
        down, up, mid = given["down"], given["up"], given.get("mid")
        rank = down.shape[0]
        return Change(1.0 if alpha is None else alpha / rank, low=(down, up, mid))
    if {"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"} <= names <= {*_LOHA}:
        return Change(1.0 if alpha is None else alpha / given["hada_w1_b"].shape[0], full=lambda: _loha(given))
    if names <= {*_LOKR} and any(name.startswith("lokr_w1") for name in names) and any(name.startswith("lokr_w2") for name in names):
        factor = next((given[key].shape[0] for key in ("lokr_w2_b", "lokr_w1_b") if key in given), None)
        return Change(1.0 if alpha is None or factor is None else alpha / factor, full=lambda: _lokr(given))
    if names == {"diff"}:
        return Change(1.0, full=lambda: given["diff"])
    raise ModelError(
        f"The LoRA {path} changes {module} in a way that Gesso does not know ({', '.join(sorted(names))}).",
        hint="Use a LoRA, LoHa or LoKr.",
    )


_LOHA = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2")
_LOKR = ("lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2")


def _loha(p: Mapping[str, Tensor]) -> Tensor:
    """The elementwise product of two low-rank weights (Hyeon-Woo et al. 2022, arXiv 2108.06098, FedPara)."""
    if "hada_t1" in p:
        one, two = (_tucker(p[f"hada_t{i}"], p[f"hada_w{i}_a"].T, p[f"hada_w{i}_b"]) for i in (1, 2))
        return one * two
    return (p["hada_w1_a"] @ p["hada_w1_b"]) * (p["hada_w2_a"] @ p["hada_w2_b"])


def _lokr(p: Mapping[str, Tensor]) -> Tensor:
    """The Kronecker product of two small weights, each whole or of low rank (Yeh et al. 2024, arXiv 2309.14859, LyCORIS)."""
    one = p["lokr_w1"] if "lokr_w1" in p else p["lokr_w1_a"] @ p["lokr_w1_b"]
    if "lokr_w2" in p:
        two = p["lokr_w2"]
    elif "lokr_t2" in p:
        two = _tucker(p["lokr_t2"], p["lokr_w2_a"].T, p["lokr_w2_b"])
    else:
        two = p["lokr_w2_a"] @ p["lokr_w2_b"]
    return torch.kron(one.view(*one.shape, *[1] * (two.dim() - 2)), two.contiguous())


def _tucker(core: Tensor, out: Tensor, into: Tensor) -> Tensor:
    """A core (r, s, kh, kw) between the factors (out, r) and (s, in)."""
    return torch.einsum("rskl,or,si->oikl", core, out, into)


def added(change: Change, layer: torch.nn.Module, x: Tensor) -> Tensor:
    """What the change adds to the answer of a linear layer or a convolution; a convolution pads as it does for itself, seamless or not."""
    if isinstance(layer, torch.nn.Conv2d):
        return _added_to_convolution(change, layer, x)
    if change.low is not None and change.low[2] is None:
        down, up, _ = change.low
        return functional.linear(functional.linear(x, down.flatten(1).to(x.dtype)), up.flatten(1).to(x.dtype))
    assert isinstance(layer, torch.nn.Linear)
    return functional.linear(x, change.weight(layer.weight.shape).to(x.dtype))


def _added_to_convolution(change: Change, layer: torch.nn.Conv2d, x: Tensor) -> Tensor:
    if change.low is None or change.low[2] is not None or layer.groups != 1:
        whole: Tensor = layer._conv_forward(x, change.weight(layer.weight.shape).to(x.dtype), None)
        return whole
    down, up, _ = change.low
    narrow = layer._conv_forward(x, down.view(len(down), *layer.weight.shape[1:]).to(x.dtype), None)
    return functional.conv2d(narrow, up.view(*up.shape[:2], 1, 1).to(x.dtype))
