"""What a model is to the engine: cards, conditionings, parametrisations, patches and the capability protocols that families implement."""

from gesso.model.capabilities import Applies, Decodes, Denoises, EncodesImages, EncodesText, Family, Model, Perturbs
from gesso.model.card import Defaults, Latent, Limits, ModelCard
from gesso.model.conditioning import Conditioning
from gesso.model.parametrisation import Parametrisation
from gesso.model.patches import Patch, Seamless
from gesso.model.perturbation import Perturbation

__all__ = [
    "Applies",
    "Conditioning",
    "Decodes",
    "Defaults",
    "Denoises",
    "EncodesImages",
    "EncodesText",
    "Family",
    "Latent",
    "Limits",
    "Model",
    "ModelCard",
    "Parametrisation",
    "Patch",
    "Perturbation",
    "Perturbs",
    "Seamless",
]
