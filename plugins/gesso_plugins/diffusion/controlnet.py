"""ControlNets of UNet models: a copy of the UNet's first half that reads a picture and adds to what the UNet passes on. Directories of
diffusers, and files of the original layout.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gesso.errors import ModelError
from gesso.model import ModelCard
from gesso_plugins.diffusion.alone import Alone, AloneFamily, Steers
from gesso_plugins.diffusion.bases import BASES
from gesso_plugins.diffusion.files import read_header
from gesso_plugins.diffusion.steering import Steering

if TYPE_CHECKING:
    from torch import Tensor

_HINTS = {0: "conv_in", 2: "blocks.0", 4: "blocks.1", 6: "blocks.2", 8: "blocks.3", 10: "blocks.4", 12: "blocks.5", 14: "conv_out"}
_HALF = ("time_embed.", "label_emb.", "input_blocks.", "middle_block.")


class ControlNetFamily(AloneFamily):
    """Recognises, describes and loads them. A base is told by the width of the text states that it listens to."""

    name = "controlnet"
    title = "ControlNet"
    classes = ("ControlNetModel",)
    capabilities = frozenset({"controlnet"})

    def base(self, settings: Mapping[str, Any]) -> str:
        """SD 1.x, 2.x or SDXL."""
        return BASES.get(int(settings.get("cross_attention_dim") or 0), "")

    def file_settings(self, path: Path) -> dict[str, Any]:
        """Those of the UNet whose first half it copies, and of the part that reads the picture."""
        from gesso_plugins.diffusion import original_settings

        shapes = _original_shapes(path)
        settings = original_settings.unet_settings({**shapes, "out.2.weight": (0,)}, 64)
        del settings["out_channels"], settings["up_block_types"], settings["sample_size"]
        hints = [shapes[f"input_hint_block.{number}.weight"][0] for number in (0, 4, 8, 12)]
        colours = shapes["input_hint_block.0.weight"][1]
        return {**settings, "conditioning_channels": colours, "conditioning_embedding_out_channels": hints}

    def file_tensors(self, path: Path, read: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """From the original layout."""
        from gesso_plugins.diffusion.original_names import Names, unet_names
        from gesso_plugins.diffusion.original_settings import unet_shape

        bare = {key.removeprefix("control_model."): value for key, value in read.items()}
        names = Names({old: new for old, new in unet_names(unet_shape(_original_shapes(path))).items() if old.startswith(_HALF)})
        names["middle_block_out.0"] = "controlnet_mid_block"
        names |= {f"input_hint_block.{old}": f"controlnet_cond_embedding.{new}" for old, new in _HINTS.items()}
        skips = {key.split(".")[1] for key in bare if key.startswith("zero_convs.")}
        names |= {f"zero_convs.{number}.0": f"controlnet_down_blocks.{number}" for number in skips}
        return {new: value for key, value in bare.items() if (new := names.renamed(key)) is not None}

    def load(self, card: ModelCard, on: torch.device) -> ControlNet:
        """In half precision on an accelerator."""
        from diffusers.models.controlnets.controlnet import ControlNetModel

        from gesso_plugins.diffusion import loading

        assert card.path is not None
        _, half = loading.places(on)
        return ControlNet(card, loading.diffusers_network(ControlNetModel, Alone(self, card.path), self.name, half), self.title)


def _original_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    shapes = {key.removeprefix("control_model."): shape for key, (_, shape) in read_header(path).items()}
    if not all(f"input_hint_block.{number}.weight" in shapes for number in _HINTS):
        raise ModelError(f"{path} is no ControlNet in the original layout.", hint="Get it in that layout, or as a directory of diffusers.")
    return shapes


class ControlNet(Steers):
    """A loaded ControlNet."""

    def steer(self, inputs: Mapping[str, Any], picture: Tensor, strength: float) -> Steering:
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
        except torch.OutOfMemoryError:  # it is a RuntimeError, and says nothing of the base
            raise
        except (RuntimeError, ValueError, TypeError, AttributeError) as fault:
            raise self.unfit() from fault
        return Steering(skips=down, middle=middle)
