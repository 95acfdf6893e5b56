"""Without a window: scripted operators, the material, its render, its asset, and editing a picture."""

import json
import os

import bpy

FOLDER = os.environ["FOLDER"]


def pixels(image):
    found = [0.0] * (image.size[0] * image.size[1] * image.channels)
    image.pixels.foreach_get(found)
    return found


def render_flat(material, size):
    """The object's colour seen straight from above, without light: what lies on the plane, pixel for pixel."""
    scene = bpy.context.scene
    for thing in list(bpy.data.objects):
        bpy.data.objects.remove(thing)
    bpy.ops.mesh.primitive_plane_add(size=2)
    plane = bpy.context.active_object
    plane.data.materials.append(material)
    tree = material.node_tree
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    output = next(node for node in tree.nodes if node.type == "OUTPUT_MATERIAL")
    emission = tree.nodes.new("ShaderNodeEmission")
    tree.links.new(shader.inputs["Base Color"].links[0].from_socket, emission.inputs["Color"])
    for link in list(output.inputs["Displacement"].links):
        tree.links.remove(link)
    tree.links.new(emission.outputs[0], output.inputs["Surface"])
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.data.type, camera.data.ortho_scale, camera.location = "ORTHO", 2.0, (0, 0, 5)
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 1, False
    scene.cycles.pixel_filter_type, scene.cycles.filter_width = "BOX", 0.01
    scene.render.resolution_x = scene.render.resolution_y = size
    scene.render.resolution_percentage = 100
    scene.view_settings.view_transform = "Standard"
    scene.render.image_settings.file_format = "PNG"
    scene.render.filepath = os.path.join(FOLDER, "render.png")
    bpy.ops.render.render(write_still=True)
    return bpy.data.images.load(scene.render.filepath)


def batch():
    """A scene textured by a script, as the documentation has it, and rendered; gives the prompts in their order."""
    for thing in list(bpy.data.objects):
        bpy.data.objects.remove(thing)
    shapes = {"red brick wall": "cube", "oak planks": "cylinder", "mossy grey cobblestone": "uv_sphere", "rusty metal": "torus"}
    for place, (words, shape) in enumerate(shapes.items()):
        getattr(bpy.ops.mesh, f"primitive_{shape}_add")(location=(2.6 * place - 3.9, 0, 0))
        bpy.context.active_object.name = words
    prompts = [thing.name for thing in bpy.data.objects]
    for thing in list(bpy.data.objects):
        words = {"prompt": thing.name, "width": 256, "height": 256, "seed": 7, "object_name": thing.name}
        assert bpy.ops.gesso.texture(**words, mapping="BOX", tiles=0.5) == {"FINISHED"}
        assert json.loads(thing.active_material["gesso_recipe"])["params"]["prompt"] == thing.name
    scene = bpy.context.scene
    sun = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    sun.data.energy, sun.rotation_euler = 3.0, (0.6, 0.3, 0.4)
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.location, camera.rotation_euler = (0.0, -14.5, 5.0), (1.24, 0.0, 0.0)
    for thing in (sun, camera):
        scene.collection.objects.link(thing)
    scene.camera, scene.cycles.samples, scene.cycles.use_denoising = camera, 16, False
    scene.cycles.pixel_filter_type, scene.cycles.filter_width = "BLACKMAN_HARRIS", 1.5
    scene.render.engine, scene.render.image_settings.file_format = "CYCLES", "PNG"
    scene.render.resolution_x, scene.render.resolution_y = 640, 240
    scene.render.filepath = os.path.join(FOLDER, "batch.png")
    bpy.ops.render.render(write_still=True)
    return prompts


def script():
    assert bpy.ops.gesso.fix(name="start") == {"FINISHED"}
    assert bpy.ops.gesso.texture(prompt="red brick wall", width=128, height=128, seed=11, object_name="Cube", tiles=1.0) == {"FINISHED"}
    material = bpy.data.objects["Cube"].active_material
    nodes = {node.label: node for node in material.node_tree.nodes if node.type == "TEX_IMAGE"}
    shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    fed = {name: shader.inputs[name].links[0].from_node.label for name in ("Base Color", "Roughness", "Metallic")}
    assert fed == {"Base Color": "Base color", "Roughness": "Roughness", "Metallic": "Metallic"}, fed
    assert shader.inputs["Normal"].links[0].from_node.type == "NORMAL_MAP"
    output = next(node for node in material.node_tree.nodes if node.type == "OUTPUT_MATERIAL")
    assert output.inputs["Displacement"].links[0].from_node.type == "DISPLACEMENT"
    spaces = {label: node.image.colorspace_settings.name for label, node in nodes.items()}
    assert spaces["Base color"] == "sRGB", spaces
    assert {space for label, space in spaces.items() if label != "Base color"} == {"Non-Color"}, spaces
    assert nodes["Height"].image.is_float
    yield 0
    asset = material.asset_data
    assert {"gesso", "red", "brick", "wall"} <= {tag.name for tag in asset.tags}
    recipe = json.loads(material["gesso_recipe"])
    assert recipe["params"]["seed"] == 11, recipe
    assert max(material.preview.image_pixels_float) > 0.1
    path = os.path.join(FOLDER, "brick.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    tile = nodes["Base color"].image
    tile_name, wanted = tile.name, pixels(tile)
    yield 0
    rendered = render_flat(material, 128)
    shown = pixels(rendered)
    step = rendered.channels
    worst = max(
        abs(shown[step * at + part] - wanted[tile.channels * at + part]) for at in range(128 * 128) for part in range(3)
    )  # fmt: skip
    assert worst <= 2.5 / 255, worst
    yield 0
    bpy.ops.wm.open_mainfile(filepath=path)
    again = bpy.data.objects["Cube"].active_material
    assert again.asset_data.description == "red brick wall"
    assert json.loads(again["gesso_recipe"]) == recipe
    assert pixels(bpy.data.images[tile_name]) == wanted
    yield 0
    assert bpy.ops.gesso.upscale(image=tile_name, scale=2) == {"FINISHED"}
    large = bpy.data.images[tile_name]
    assert tuple(large.size) == (256, 256), tuple(large.size)
    users = [node.image for node in again.node_tree.nodes if node.type == "TEX_IMAGE" and node.label == "Base color"]
    assert users == [large]
    yield 0
    try:
        bpy.ops.gesso.texture(prompt="brick", width=24, height=24, tile="x", model="nothing", object_name="Cube")
    except RuntimeError as fault:
        said = str(fault)
    assert "nothing" in said and "model" in said, said
    try:
        bpy.ops.gesso.generate(width=64)
    except RuntimeError as fault:
        said = str(fault)
    assert "Prompt is missing. [prompt: invalid]" in said, said
    yield 0
    prompts = batch()
    return {"batch": prompts, "worst": worst, "seed": recipe["params"]["seed"], "prompt": recipe["params"]["prompt"], "enabled": ENABLED}  # noqa: F821
