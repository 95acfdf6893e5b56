"""What a model is to the engine: cards, conditionings, parametrisations, patches and the capability protocols that families implement."""

from gesso.model.capabilities import (
    Aligns,
    Applies,
    Continues,
    Controlled,
    Decodes,
    Denoises,
    Embeds,
    EncodesImages,
    EncodesNegatives,
    EncodesText,
    Family,
    Frugal,
    Memory,
    Model,
    Perturbs,
)
from gesso.model.card import Defaults, Latent, Limits, ModelCard, overlaid
from gesso.model.cascade import Cascade, Part
from gesso.model.conditioning import Conditioning
from gesso.model.controls import Control
from gesso.model.learning import Factors, Lesson, Plan, Pupil, Teachable
from gesso.model.painting import Painting, Stage
from gesso.model.parametrisation import Parametrisation, Shift
from gesso.model.patches import Adapter, Autoencoder, Embedding, Lora, Patch, Seamless, Shown
from gesso.model.perturbation import Perturbation
from gesso.model.ref import ModelRef
from gesso.model.thrift import Offload, Size, Thrift
from gesso.model.tokens import TokenChoice

__all__ = [
    "Adapter",
    "Aligns",
    "Applies",
    "Autoencoder",
    "Cascade",
    "Conditioning",
    "Continues",
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
    "Factors",
    "Family",
    "Frugal",
    "Latent",
    "Lesson",
    "Limits",
    "Lora",
    "Memory",
    "Model",
    "ModelCard",
    "ModelRef",
    "Offload",
    "Painting",
    "Parametrisation",
    "Part",
    "Patch",
    "Perturbation",
    "Perturbs",
    "Plan",
    "Pupil",
    "Seamless",
    "Shift",
    "Shown",
    "Size",
    "Stage",
    "Teachable",
    "Thrift",
    "TokenChoice",
    "overlaid",
]
