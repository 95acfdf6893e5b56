"""ControlNets of UNet models: a copy of the UNet's first half that reads a picture and adds to what the UNet passes on. Directories of
diffusers, and files of the original layout.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gesso.errors import InvalidRequest, ModelError
from gesso.manifest import ModelEntry
from gesso.model import ModelCard
from gesso_plugins.diffusion.bases import BASES
from gesso_plugins.diffusion.files import digest, file_digest, read_header, read_json, weight_files
from gesso_plugins.diffusion.source import read_tensors

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from gesso.model import Patch

_HINTS = {0: "conv_in", 2: "blocks.0", 4: "blocks.1", 6: "blocks.2", 8: "blocks.3", 10: "blocks.4", 12: "blocks.5", 14: "conv_out"}
_HALF = ("time_embed.", "label_emb.", "input_blocks.", "middle_block.")


class ControlNetFamily:
    """Recognises, describes and loads them."""

    name = "controlnet"

    def inspect(self, entry: ModelEntry) -> ModelCard:
        """The card; its base is told by the width of the text states that it listens to."""
        path = entry.path
        if path is None or not path.exists():
            raise ModelError(f"The ControlNet {entry.name!r} is not there: {path}.", hint="Add it again with `gesso models add`.")
        settings = settings_of(path)
        files = weight_files(path) if path.is_dir() else [path]
        for file in files:
            read_header(file)
        return ModelCard(
            name=entry.name,
            family=self.name,
            digest=digest(path, [*files, path / "config.json"]) if path.is_dir() else file_digest(path),
            title=entry.title,
            path=path,
            capabilities=frozenset({"controlnet"}),
            licence=entry.licence,
            info={"bytes": str(sum(file.stat().st_size for file in files))},
            base=BASES.get(int(settings.get("cross_attention_dim") or 0), ""),
        )

    def load(self, card: ModelCard, on: torch.device) -> ControlNet:
        """In half precision on an accelerator."""
        from diffusers.models.controlnets.controlnet import ControlNetModel

        from gesso_plugins.diffusion import loading

        assert card.path is not None
        _, half = loading.places(on)
        return ControlNet(card, loading.diffusers_network(ControlNetModel, _Part(card.path), "controlnet", half))


def settings_of(path: Path) -> dict[str, Any]:
    """From ``config.json`` of a directory, else read off the shapes of a file."""
    if path.is_dir():
        settings = read_json(path / "config.json")
        if settings.get("_class_name") != "ControlNetModel":
            raise ModelError(
                f"{path} is a {settings.get('_class_name')!r}; this family runs 'ControlNetModel'.", hint="Use a ControlNet of SD or SDXL."
            )
        return settings
    from gesso_plugins.diffusion import original_settings

    shapes = _original_shapes(path)
    settings = original_settings.unet_settings({**shapes, "out.2.weight": (0,)}, 64)
    del settings["out_channels"], settings["up_block_types"], settings["sample_size"]
    hints = [shapes[f"input_hint_block.{number}.weight"][0] for number in (0, 4, 8, 12)]
    return {**settings, "conditioning_channels": shapes["input_hint_block.0.weight"][1], "conditioning_embedding_out_channels": hints}


def _original_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    shapes = {key.removeprefix("control_model."): shape for key, (_, shape) in read_header(path).items()}
    if not all(f"input_hint_block.{number}.weight" in shapes for number in _HINTS):
        raise ModelError(f"{path} is no ControlNet in the original layout.", hint="Get it in that layout, or as a directory of diffusers.")
    return shapes


class _Part:
    """One network as a source of components."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def settings(self, component: str) -> dict[str, Any]:  # noqa: ARG002  (there is one)
        return settings_of(self.path)

    def tensors(self, component: str, device: torch.device) -> dict[str, Tensor]:  # noqa: ARG002
        if self.path.is_dir():
            return {key: value for file in weight_files(self.path) for key, value in read_tensors(file, device).items()}
        from gesso_plugins.diffusion.original_names import Names, unet_names
        from gesso_plugins.diffusion.original_settings import unet_shape

        names = Names({old: new for old, new in unet_names(unet_shape(_original_shapes(self.path))).items() if old.startswith(_HALF)})
        names["middle_block_out.0"] = "controlnet_mid_block"
        names |= {f"input_hint_block.{old}": f"controlnet_cond_embedding.{new}" for old, new in _HINTS.items()}
        read = {key.removeprefix("control_model."): value for key, value in read_tensors(self.path, device).items()}
        names |= {
            f"zero_convs.{key.split('.')[1]}.0": f"controlnet_down_blocks.{key.split('.')[1]}"
            for key in read
            if key.startswith("zero_convs.")
        }
        return {new: value for key, value in read.items() if (new := names.renamed(key)) is not None}


class ControlNet:
    """A loaded ControlNet; a base asks it for what to add."""

    def __init__(self, card: ModelCard, network: Any) -> None:
        self.card = card
        self.network: nn.Module = network
        self._run = network
        self._dtype = next(network.parameters()).dtype

    @property
    def nbytes(self) -> int:
        """Of all weights."""
        return sum(p.numel() * p.element_size() for p in self.network.parameters())

    @contextlib.contextmanager
    def patched(self, patches: Sequence[Patch]) -> Iterator[None]:
        """It takes none of its own."""
        if patches:
            raise InvalidRequest(f"The ControlNet {self.card.name!r} takes no patches.")
        yield

    def residuals(self, inputs: Mapping[str, Any], picture: Tensor, strength: float) -> tuple[list[Tensor], Tensor]:
        """What to add to each skip connection and to the middle. ``inputs``: those of the UNet, its x scaled."""
        x: Tensor = inputs["sample"]
        needed = int(self._run.config.in_channels)
        if x.shape[1] < needed:
            raise self.unfit()
        try:
            down, middle = self._run(
                x[:, :needed].to(self._dtype),
                inputs["timestep"],
                encoder_hidden_states=inputs["encoder_hidden_states"].to(self._dtype),
                controlnet_cond=picture.to(self._dtype),
                conditioning_scale=strength,
                added_cond_kwargs=inputs["added_cond_kwargs"],
                return_dict=False,
            )
        except (RuntimeError, ValueError, TypeError, AttributeError) as fault:
            raise self.unfit() from fault
        return list(down), middle

    def unfit(self) -> InvalidRequest:
        """Made for another base than it was asked to steer."""
        made_for = f" ({self.card.base})" if self.card.base else ""
        return InvalidRequest(
            f"The ControlNet {self.card.name!r} was made for another base{made_for} than the model of this job.",
            field="control",
            hint="Leave it out, or use a model that it was made for.",
        )
