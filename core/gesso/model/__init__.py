"""What a model is to the engine: cards, conditionings, parametrisations, patches and the capability protocols that families implement."""

from gesso.model.capabilities import (
    Applies,
    Controlled,
    Decodes,
    Denoises,
    Embeds,
    EncodesImages,
    EncodesNegatives,
    EncodesText,
    Family,
    Model,
    Perturbs,
)
from gesso.model.card import Defaults, Latent, Limits, ModelCard
from gesso.model.conditioning import Conditioning
from gesso.model.controls import Control
from gesso.model.painting import Painting, Stage
from gesso.model.parametrisation import Parametrisation, Shift
from gesso.model.patches import Adapter, Autoencoder, Embedding, Lora, Patch, Seamless
from gesso.model.perturbation import Perturbation
from gesso.model.ref import ModelRef

__all__ = [
    "Adapter",
    "Applies",
    "Autoencoder",
    "Conditioning",
    "Control",
    "Controlled",
    "Decodes",
    "Defaults",
    "Denoises",
    "Embedding",
    "Embeds",
    "EncodesImages",
    "EncodesNegatives",
    "EncodesText",
    "Family",
    "Latent",
    "Limits",
    "Lora",
    "Model",
    "ModelCard",
    "ModelRef",
    "Painting",
    "Parametrisation",
    "Patch",
    "Perturbation",
    "Perturbs",
    "Seamless",
    "Shift",
    "Stage",
]
