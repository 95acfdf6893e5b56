"""LoRAs as models of their own, and how one is put on a network: beside its layers, never into their weights, so that taking it off leaves
equal bits and two jobs may share one base.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gesso.errors import InvalidRequest, ModelError
from gesso.library import hashes
from gesso.manifest import ModelEntry
from gesso.model import ModelCard
from gesso_plugins.diffusion.bases import BASES
from gesso_plugins.diffusion.files import file_digest
from gesso_plugins.diffusion.lora_decomposed import Gain, added_decomposed, gain
from gesso_plugins.diffusion.lora_file import Change, added, modules, read_changes

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from gesso.model import Patch

_PREFIXES = {
    "lora_unet_": "unet",
    "lora_te_": "text_encoder",
    "lora_te1_": "text_encoder",
    "lora_te2_": "text_encoder_2",
    "lycoris_": "unet",
    "unet.": "unet",
    "text_encoder.": "text_encoder",
    "text_encoder_2.": "text_encoder_2",
    "text_encoder_3.": "text_encoder_3",
    "transformer.": "unet",
    "diffusion_model.": "unet",
}
_FLUX = ("double_blocks", "single_transformer_blocks")


class LoraFamily:
    """One ``.safetensors`` file."""

    name = "lora"

    def inspect(self, entry: ModelEntry) -> ModelCard:
        """The card; its base is read off the width of the text states, where the LoRA changes what listens to them."""
        path = entry.path
        if path is None or not path.is_file():
            raise ModelError(f"The LoRA {entry.name!r} is not there: {path} is no file.", hint="Add it again with `gesso models add`.")
        return ModelCard(
            name=entry.name,
            family=self.name,
            digest=file_digest(path),
            title=entry.title,
            path=path,
            capabilities=frozenset({"lora"}),
            licence=entry.licence,
            info={"bytes": str(path.stat().st_size), "short_hash": hashes.shared.autov3(path)[: hashes.SHORT_LORA]},
            base=_base(modules(path)),
        )

    def load(self, card: ModelCard, on: torch.device) -> LoraWeights:
        """The factors, in float32 on the CPU and in half precision on an accelerator."""
        import torch

        assert card.path is not None
        return LoraWeights(card, read_changes(card.path, on, torch.float16 if on.type == "cuda" else torch.float32))


def _base(shapes: Mapping[str, tuple[int, ...]]) -> str:
    if any(part in key for key in shapes for part in _FLUX):
        return "flux1"
    listens = [shape for key, shape in shapes.items() if "attn2" in key and "to_k" in key and ("down" in key or "lora_A" in key)]
    return next((BASES[shape[1]] for shape in listens if len(shape) > 1 and shape[1] in BASES), "")


class LoraWeights:
    """A loaded LoRA. It is put on a base by the base."""

    def __init__(self, card: ModelCard, changes: Mapping[str, Change]) -> None:
        self.card = card
        self.changes = changes

    @property
    def nbytes(self) -> int:
        """Of all factors."""
        assert self.card.path is not None
        return self.card.path.stat().st_size

    @contextmanager
    def patched(self, patches: Sequence[Patch]) -> Iterator[None]:
        """It takes none."""
        if patches:
            raise InvalidRequest(f"The LoRA {self.card.name!r} is no model that takes patches.")
        yield


class Layers:
    """The layers of a base that LoRAs may change, by all the names in use. ``networks``: by component, as in diffusers, but the denoiser is
    called ``unet`` whatever it is; ``original``: for the denoiser, from its flat names in the original layout to those in diffusers, to
    several where a layer of the original is several in diffusers, one below the other.
    """

    def __init__(self, networks: Mapping[str, nn.Module], original: Mapping[str, str | tuple[str, ...]] | None = None) -> None:
        import torch.nn

        self._found: dict[tuple[str, str], nn.Module] = {}
        for component, network in networks.items():
            for name, layer in network.named_modules():
                if isinstance(layer, (torch.nn.Linear, torch.nn.Conv2d)):
                    self._found[component, _flat(name)] = layer
        self._aliases = {old: (new,) if isinstance(new, str) else new for old, new in (original or {}).items()}

    def parts(self, name: str) -> tuple[nn.Module, ...]:
        """The layer that a file calls ``name``; several, where the file changes them as one; none, if there is no such layer."""
        for prefix, component in _PREFIXES.items():
            if name.startswith(prefix):
                bare = _flat(name.removeprefix(prefix).replace(".processor.", "."))
                known = ((bare,), self._aliases.get(bare, ()), (bare + "_0",))  # diffusers of old called to_out.0 to_out
                found = [tuple(filter(None, (self._found.get((component, part)) for part in names))) for names in known]
                return next((parts for parts, names in zip(found, known, strict=True) if parts and len(parts) == len(names)), ())
        return ()


def original_aliases(network: nn.Module) -> dict[str, str]:
    """Flat names of a UNet's layers in the original layout -> in diffusers."""
    from gesso_plugins.diffusion.original_names import of_unet_settings, unet_names

    names = unet_names(of_unet_settings(network.config)).turned()  # type: ignore[arg-type]  # diffusers' own kind of dict
    both = ((names.renamed(name), name) for name, _ in network.named_modules())
    return {_flat(old): _flat(new) for old, new in both if old is not None}


def _flat(name: str) -> str:
    """Kohya's spelling: no dots, and no ``text_model`` around a text encoder."""
    return name.replace(".", "_").removeprefix("text_model_")


class PutOn:
    """LoRAs on a base until `eject`. Several on one layer add up in their order."""

    def __init__(self, layers: Layers, loras: Sequence[tuple[LoraWeights, float]], base: ModelCard) -> None:
        self._layers: dict[nn.Module, list[tuple[Change, float, Gain | None]]] = {}
        for lora, weight in loras:
            for name, change in lora.changes.items():
                parts = layers.parts(name)
                divided = _divided(change, parts)
                if not divided or not all(_fits(part, layer) for layer, part in zip(parts, divided, strict=True)):
                    raise _other_base(lora, base, name, missing=not parts)
                for layer, part in zip(parts, divided, strict=True):
                    self._layers.setdefault(layer, []).append((part, weight, gain(part, layer)))
        for layer, changes in self._layers.items():
            layer.forward = functools.partial(_changed, layer, tuple(changes))

    def eject(self) -> None:
        """Take them off; the layers compute equal bits again."""
        for layer in self._layers:
            del layer.forward
        self._layers = {}


def _changed(layer: Any, changes: Sequence[tuple[Change, float, Gain | None]], x: Tensor) -> Tensor:
    answer: Tensor = type(layer).forward(layer, x)
    for change, weight, lengths in changes:
        if not weight:
            continue
        if lengths is None:
            answer = answer + added(change, layer, x) * (weight * change.scale)
        else:
            answer = answer + added_decomposed(change, layer, x, lengths) * weight
    return answer


def _divided(change: Change, layers: Sequence[Any]) -> tuple[Change, ...]:
    """The part of a change for each of several layers that the file has as one; none if it cannot be divided so."""
    import torch

    if len(layers) == 1:
        return (change,)
    sizes = [layer.weight.shape[0] for layer in layers]
    if change.low is None or change.low[2] is not None or sum(sizes) != change.low[1].shape[0]:
        return ()
    if change.magnitude is not None and change.magnitude.numel() != sum(sizes):
        return ()
    down, up, _ = change.low
    parts = torch.split(up, sizes)
    lengths = [None] * len(sizes) if change.magnitude is None else torch.split(change.magnitude.flatten(), sizes)
    return tuple(replace(change, low=(down, rows, None), magnitude=length) for rows, length in zip(parts, lengths, strict=True))


def _fits(change: Change, layer: Any) -> bool:
    shape = layer.weight.shape
    if change.magnitude is not None and change.magnitude.numel() not in shape[:2]:
        return False
    if change.low is not None and change.low[2] is None:
        down, up, _ = change.low
        return bool(up.shape[0] == shape[0] and down.numel() == down.shape[0] * shape[1:].numel() and up.flatten(1).shape[1] == len(down))
    try:
        return bool(change.weight(shape).shape == shape)
    except RuntimeError:
        return False


def _other_base(lora: LoraWeights, base: ModelCard, name: str, *, missing: bool) -> InvalidRequest:
    made_for = f" ({lora.card.base})" if lora.card.base else ""
    why = "which it does not have" if missing else "which is of another size there"
    return InvalidRequest(
        f"The LoRA {lora.card.name!r} was made for another base{made_for} than {base.name!r}: it changes {name}, {why}.",
        field="lora",
        hint="Leave the LoRA out, or use a model that it was made for.",
    )
