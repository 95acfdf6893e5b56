"""Pictures at the edges of a job: results, recipes in PNG files, previews. It knows no model and no socket."""

from gesso.media.outputs import MaterialMaps, Output, Rendered
from gesso.recipe import Recipe

__all__ = ["MaterialMaps", "Output", "Recipe", "Rendered"]
