"""Styles as bundles of words. They name no model, so that each works with whatever is there."""

from __future__ import annotations

from gesso.plugin import StyleSpec

PRESETS = (
    StyleSpec("photograph", "Photograph", "photograph of {prompt}, natural light, 50mm lens, sharp focus", "drawing, painting, render"),
    StyleSpec(
        "oil_painting", "Oil painting", "oil painting of {prompt}, visible brush strokes, canvas texture", "photograph, flat colours"
    ),
    StyleSpec(
        "watercolour", "Watercolour", "watercolour of {prompt}, soft washes, paper grain", "photograph, hard edges", aliases=("watercolor",)
    ),
    StyleSpec(
        "colourised",
        "Colourised",
        "colour photograph of {prompt}, natural colours",
        "black and white, monochrome, sepia",
        aliases=("colorized", "colorised", "colourized"),
    ),
    StyleSpec("pencil", "Pencil drawing", "pencil drawing of {prompt}, graphite, fine hatching on white paper", "colour, photograph"),
    StyleSpec("ink", "Ink drawing", "ink drawing of {prompt}, black lines on white, bold contours", "colour, shading, photograph"),
    StyleSpec(
        "pixel_art", "Pixel art", "pixel art of {prompt}, limited palette, crisp square pixels", "blurry, photograph, smooth gradients"
    ),
    StyleSpec("low_poly", "Low poly", "low poly render of {prompt}, flat shaded triangles, simple colours", "photograph, fine detail"),
    StyleSpec("clay", "Clay render", "clay render of {prompt}, matte grey material, soft studio light", "colour, texture, text"),
    StyleSpec("isometric", "Isometric", "isometric view of {prompt}, clean edges, plain background", "perspective, clutter"),
    StyleSpec(
        "material",
        "Seamless material",
        "seamless texture of {prompt}, flat even light, seen from straight above",
        "shadow, object, horizon",
    ),
)
