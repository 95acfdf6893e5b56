"""One of two Blenders that ask the same daemon at the same time."""

import json
import os

import bpy
from drive import base_colour, mean_colour


def script():
    made, colours = [], []
    for turn in range(3):
        seed = int(os.environ["SEED"]) + turn
        assert bpy.ops.gesso.texture(prompt="slate", width=64, height=64, seed=seed, object_name="Cube") == {"FINISHED"}
        recipe = json.loads(bpy.data.objects["Cube"].active_material["gesso_recipe"])
        assert recipe["params"]["seed"] == seed
        made.append(seed)
        colours.append(mean_colour(base_colour(bpy.data.objects["Cube"].active_material)))
        yield 0
    return {"made": made, "colours": colours}
