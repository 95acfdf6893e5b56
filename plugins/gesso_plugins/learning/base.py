"""The model that a LoRA is learned for, loaded in this process. It reads cards and weights through the families, as a worker does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

import torch

from gesso.errors import InvalidRequest, ModelError
from gesso.library import examine, read_layouts
from gesso.library.listing import name_for
from gesso.library.snapshot import INDEX, check_snapshot
from gesso.manifest import ModelEntry, first_party
from gesso.model import Decodes, Denoises, EncodesImages, EncodesText, Model, ModelCard, Teachable
from gesso.plugin import Registry

CAPABILITY = "learn"


class Base(Model, EncodesText, EncodesImages, Denoises, Decodes, Teachable, Protocol):
    """A model that has all that learning takes."""


def load_base(name: str, registry: Registry, owned: Sequence[ModelEntry], device: torch.device) -> Base:
    """By the name of a model, or by the path of one that is on no list."""
    registry.models = (*registry.models, *owned)
    path = Path(name).expanduser()
    known = any(name.casefold() in (entry.name, entry.title.casefold()) for entry in registry.models)
    entry = _at(path.absolute()) if path.exists() and not known else registry.model(name)
    if not entry.family:
        raise ModelError(f"The model {entry.name!r} is known, but no family runs it yet.", field="model", hint="Use another model.")
    if entry.path is not None and (entry.path / INDEX).is_file():
        check_snapshot(entry.path)
    family = registry.family(entry.family)
    refuse_unteachable(card := family.inspect(entry))
    return cast(Base, family.load(card, device))


def refuse_unteachable(card: ModelCard) -> None:
    """Only denoisers that hear words alone learn."""
    if CAPABILITY not in card.capabilities:
        raise InvalidRequest(
            f"The model {card.name!r} cannot be fine-tuned: it is no latent diffusion model that makes pictures of words alone.",
            field="model",
            hint="Take one such as `starter`; inpainting and instruction models are not taught either.",
        )


def _at(path: Path) -> ModelEntry:
    found = examine(path, read_layouts(first_party()))
    capabilities = found.layout.capabilities if found.layout else ()
    return ModelEntry(name_for(path.stem, ()), found.family, found.title, path, capabilities, kind=found.kind)
