"""The model family `material-maps`: a file of the maps network, as a model that finds the maps of pictures."""

from __future__ import annotations

import torch

from gesso.errors import ModelError
from gesso.library import hashes
from gesso.manifest import ModelEntry
from gesso.model import Limits, ModelCard
from gesso.model.network import NetworkModel
from gesso_plugins.texture.maps.found import find_maps
from gesso_plugins.texture.maps.network import MULTIPLE, load_network

CAPABILITY = "find_maps"


class MapsFamily:
    """Describes and loads such a file."""

    name = "material-maps"

    def inspect(self, entry: ModelEntry) -> ModelCard:
        """The card; raises ModelError with the fix."""
        path = entry.path
        if path is None or not path.is_file():
            raise ModelError(f"The model {entry.name!r} has no file at {path}.", hint="Give a file that `gesso train maps` wrote.")
        return ModelCard(
            name=entry.name,
            family=self.name,
            digest=hashes.shared.of_files(path.parent, [path]),
            title=entry.title,
            path=path,
            capabilities=frozenset({CAPABILITY}),
            limits=Limits(MULTIPLE, 16_384, 1),
            licence=entry.licence,
            info={"bytes": str(path.stat().st_size)},
        )

    def load(self, card: ModelCard, on: torch.device) -> NetworkModel:
        """The network on the device: ``find_maps``; inputs: picture (H, W, 3) in 0..1, tile."""
        assert card.path is not None
        network = load_network(card.path).requires_grad_(False).to(on)
        return NetworkModel(card, network, {CAPABILITY: lambda inputs: find_maps(network, inputs["picture"], str(inputs["tile"]))})
