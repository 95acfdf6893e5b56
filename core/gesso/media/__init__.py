"""Pictures at the edges of a job: results, recipes in PNG files, previews. It knows no model and no socket."""

from gesso.media.outputs import MaterialMaps, Output, Rendered

__all__ = ["MaterialMaps", "Output", "Rendered"]
