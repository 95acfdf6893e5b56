"""The model family `style-transfer`: a file of the style network, as a model that stylises pictures and tells their features."""

from __future__ import annotations

from functools import partial

import torch

from gesso.errors import ModelError
from gesso.library import hashes
from gesso.manifest import ModelEntry
from gesso.model import Limits, ModelCard
from gesso.model.features import CAPABILITY as FEATURES
from gesso.model.features import METHODS, answer
from gesso.model.network import NetworkModel
from gesso_plugins.style.network import MULTIPLE, load_network, read_channels
from gesso_plugins.style.transfer import Task, features, stylised

STYLISE = "stylise"


class StyleFamily:
    """Describes and loads such a file."""

    name = "style-transfer"

    def inspect(self, entry: ModelEntry) -> ModelCard:
        """The card; raises ModelError with the fix."""
        path = entry.path
        if path is None or not path.is_file():
            raise ModelError(f"The model {entry.name!r} has no file at {path}.", hint="Give a file that `gesso train style` wrote.")
        read_channels(path)
        return ModelCard(
            name=entry.name,
            family=self.name,
            digest=hashes.shared.of_files(path.parent, [path]),
            title=entry.title,
            path=path,
            capabilities=frozenset({STYLISE, FEATURES}),
            limits=Limits(2 * MULTIPLE, 16_384, 1),
            licence=entry.licence,
            info={"bytes": str(path.stat().st_size)},
        )

    def load(self, card: ModelCard, on: torch.device) -> NetworkModel:
        """The network on the device: ``stylise``, with what a `Task` has for its inputs, and the methods of `gesso.model.features`."""
        assert card.path is not None
        network = load_network(card.path).to(on)
        encode = partial(features, network)
        told = {method: partial(answer, encode, method) for method in METHODS}
        return NetworkModel(card, network, {STYLISE: lambda inputs: stylised(network, Task(**inputs)), **told})
