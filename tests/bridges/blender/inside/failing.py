"""Nothing but a wrong claim: the runner must notice it."""

import bpy


def script():
    yield 0.1
    assert bpy.data.objects["Cube"].name == "Sphere"
