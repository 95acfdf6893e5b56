"""Projection onto a model: ramps are projected onto a floor that a cube hides in part, and every texel is compared with rays cast from the
camera. A second view then blends in, and the operator does all of it with the daemon. With a window the second Blender bakes all that.
"""

import os
import struct
import zlib

import bpy
from gesso_blender.blender import baking, images, looking, runtime, shading, texture
from mathutils import Vector

FOLDER = os.environ["FOLDER"]
SIZE, TEXTURE = 512, 256
BLUE = (0.1, 0.2, 0.9)


def ramps(size):
    """A PNG whose red grows to the right and whose green grows upwards: each colour names its place."""
    rows = bytearray()
    for row in range(size):
        rows += b"\0" + bytes(
            value for column in range(size) for value in (255 * column // (size - 1), 255 * (size - 1 - row) // (size - 1), 64)
        )

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(rows))) + chunk(b"IEND", b"")


def all_steps(*words):
    """All steps of a projection at once."""
    parts = list(texture.project(*words))
    assert len(parts) > 2 * (TEXTURE // baking.TILE) ** 2 and parts == sorted(parts) and parts[-1] < 1, parts


def scene():
    for thing in list(bpy.data.objects):
        bpy.data.objects.remove(thing)
    bpy.ops.mesh.primitive_plane_add(size=4)
    floor = bpy.context.active_object
    floor.data.materials.append(blue_metal())
    bpy.ops.mesh.primitive_cube_add(size=1, location=(0.3, -0.2, 1.2))
    cube = bpy.context.active_object
    bpy.context.scene.camera = camera((2.0, -3.0, 5.0))
    return floor, cube


def blue_metal():
    """In a group, with a picture that its colour does not come from; light alone would show it nearly black."""
    blue, group = bpy.data.materials.new("Blue"), bpy.data.node_groups.new("Painted", "ShaderNodeTree")
    shader, roughness = group.nodes.new("ShaderNodeBsdfPrincipled"), group.nodes.new("ShaderNodeTexImage")
    roughness.image = bpy.data.images.new("roughness", 8, 8)
    shader.inputs["Base Color"].default_value, shader.inputs["Metallic"].default_value = (*BLUE, 1), 1.0
    if hasattr(group, "interface"):
        group.interface.new_socket("Surface", in_out="OUTPUT", socket_type="NodeSocketShader")
    else:
        group.outputs.new("NodeSocketShader", "Surface")
    group.links.new(roughness.outputs["Color"], shader.inputs["Roughness"])
    group.links.new(shader.outputs[0], group.nodes.new("NodeGroupOutput").inputs[0])
    blue.use_nodes = True
    tree = blue.node_tree
    node = tree.nodes.new("ShaderNodeGroup")
    node.node_tree = group
    tree.links.new(node.outputs[0], next(node for node in tree.nodes if node.type == "OUTPUT_MATERIAL").inputs["Surface"])
    return blue


def pictures(target):
    with baking.standing(target, True) as (_, names):
        return names


def only_colours_are_read(floor):
    """A picture that an object's colours do not come from is not decoded for them, and nothing is left of the copies."""
    held = sorted(thing.name for kind in (bpy.data.materials, bpy.data.node_groups, bpy.data.objects, bpy.data.meshes) for thing in kind)
    assert pictures(floor) == []
    tree = floor.active_material.node_tree
    painted = tree.nodes.new("ShaderNodeTexImage")
    painted.image, diffuse = bpy.data.images.new("paint", 8, 8), tree.nodes.new("ShaderNodeBsdfDiffuse")
    tree.links.new(painted.outputs["Color"], diffuse.inputs["Color"])
    assert pictures(floor) == [], "what the surface does not show"
    surface = next(node for node in tree.nodes if node.type == "OUTPUT_MATERIAL").inputs["Surface"]
    group = surface.links[0].from_socket
    tree.links.new(diffuse.outputs[0], surface)
    assert pictures(floor) == ["paint"]
    tree.links.new(group, surface)
    for node in (painted, diffuse):
        tree.nodes.remove(node)
    assert held == sorted(
        thing.name for kind in (bpy.data.materials, bpy.data.node_groups, bpy.data.objects, bpy.data.meshes) for thing in kind
    )


def camera(place):
    found = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    found.location = place
    found.rotation_euler = (Vector((0, 0, 0)) - Vector(place)).to_track_quat("-Z", "Y").to_euler()
    found.data.angle = 0.9
    bpy.context.scene.collection.objects.link(found)
    bpy.context.view_layer.update()
    return found


def texels(image):
    values = [0.0] * (image.size[0] * image.size[1] * image.channels)
    image.pixels.foreach_get(values)
    return values, image.channels


def visible(eye, point, target):
    graph = bpy.context.evaluated_depsgraph_get()
    away = point - eye
    hit, where, _, _, thing, _ = bpy.context.scene.ray_cast(graph, eye, away.normalized(), distance=away.length + 1e-3)
    return hit and thing.name == target.name and (where - point).length < 1e-3


def compare(floor, view, image, far_from_a_rim):
    """(errors of what is seen, errors of what is hidden, texels seen, texels hidden) over a grid of the floor's texels."""
    values, channels = texels(image)
    eye, inverse = view.world.translation, view.world.inverted()
    seen_errors, hidden_errors = [], []
    for row in range(3, TEXTURE, 5):
        for column in range(3, TEXTURE, 5):
            u, v = (column + 0.5) / TEXTURE, (row + 0.5) / TEXTURE
            point = Vector((4 * u - 2, 4 * v - 2, 0))
            around = {
                visible(eye, point + Vector((far_from_a_rim * right, far_from_a_rim * up, 0)), floor)
                for right in (-1, 0, 1)
                for up in (-1, 0, 1)
                if abs(point.x + far_from_a_rim * right) < 2 and abs(point.y + far_from_a_rim * up) < 2
            }
            if len(around) == 2:
                continue  # at the rim of the shadow, where a pixel of depth decides
            at = inverse @ point
            x, y = (0.5 + part / (-at.z * 2 * view.half) for part in (at.x, at.y))
            pixel = values[(row * TEXTURE + column) * channels :][:3]
            if around == {True} and 0.01 < x < 0.99 and 0.01 < y < 0.99:
                seen_errors.append(max(abs(pixel[0] - x), abs(pixel[1] - y)))
            elif around == {False}:
                hidden_errors.append(max(abs(part - wanted) for part, wanted in zip(pixel, BLUE_SRGB, strict=True)))
    return seen_errors, hidden_errors


def srgb(value):
    return 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055


def light(value):
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


BLUE_SRGB = [srgb(part) for part in BLUE]


def plain(colour, size=8):
    """A picture of one colour."""
    image = bpy.data.images.new("plain", size, size)
    image.pixels.foreach_set([*colour, 1.0] * size**2)
    return images.to_file(image)


def blended_by_facing(floor, view, other):
    """Red from one side and blue from the other: what both saw is mixed as squarely as each saw it. Gives the share's error."""
    floor.data.materials.clear()
    for colour, seen in (((1.0, 0.0, 0.0), view), ((0.0, 0.0, 1.0), other)):
        all_steps(floor, plain(colour), seen, looking.depth_of(seen), TEXTURE)
        path = os.path.join(FOLDER, "blended.blend")
        bpy.ops.wm.save_as_mainfile(filepath=path)
        assert floor.active_material[texture.WEIGHT].users == 1, "a file would be saved without what the views have counted so far"
    values, channels = texels(floor.active_material.node_tree.nodes["Gesso projection"].image)
    errors = []
    for row in range(8, TEXTURE, 11):
        for column in range(8, TEXTURE, 11):
            point = Vector((4 * (column + 0.5) / TEXTURE - 2, 4 * (row + 0.5) / TEXTURE - 2, 0))
            weights = []
            for one in (view, other):
                eye, at = one.world.translation, one.world.inverted() @ point
                around = {visible(eye, point + Vector((x, y, 0)), floor) for x in (-0.06, 0, 0.06) for y in (-0.06, 0, 0.06)}
                inside = max(abs(at.x), abs(at.y)) < 0.98 * -at.z * one.half
                weights.append((eye - point).normalized().z ** shading.SHARPNESS if around == {True} and inside else None)
            if None not in weights:
                red = light(values[(row * TEXTURE + column) * channels])  # colours are mixed as light
                errors.append(abs(red - weights[0] / sum(weights)))
    assert len(errors) > 50, len(errors)
    errors.sort()
    almost_all = errors[int(0.98 * len(errors))]  # a texel at the rim of the shadow may be seen by one view only
    assert almost_all < 0.01, errors[-9:]
    return almost_all


def by_the_operator(floor, cube):
    """The daemon makes the picture. Gives the part of the texture that is painted."""
    floor.select_set(False)
    bpy.context.view_layer.objects.active = cube
    assert bpy.ops.gesso.project(prompt="red brick", size=128, texture="256", parameters='{"seed": 4, "model": "procedural"}') == {
        "FINISHED"
    }
    yield lambda: 1 in runtime.current().messages  # with a window it takes its time
    shown = cube.active_material.node_tree.nodes["Gesso projection"].image
    assert tuple(shown.size) == (256, 256)
    values, channels = texels(shown)
    red = [values[at : at + 3] for at in range(0, len(values), channels)]
    painted = sum(part[0] > part[2] + 0.05 for part in red) / len(red)
    assert 0.05 < painted < 0.9, painted
    assert runtime.current().messages[1] == "Projected onto Cube."
    return painted


def script():
    floor, cube = scene()
    settings = {name: getattr(bpy.context.scene.render, name) for name in ("engine", "filepath", "resolution_x", "film_transparent")}
    view = looking.of_camera(bpy.context.scene.camera, SIZE)
    depth = looking.depth_of(view)
    only_colours_are_read(floor)
    picture = ramps(SIZE)
    baking.TILE = TEXTURE // 4  # margins and what is beside them go on over the borders of tiles
    all_steps(floor, picture, view, depth, TEXTURE)
    first = floor.active_material.node_tree.nodes["Gesso projection"].image
    seen, hidden = compare(floor, view, first, 0.04)
    assert len(seen) > 500, len(seen)
    assert len(hidden) > 100, len(hidden)
    assert max(hidden) < 2 / 255, max(hidden)
    assert sum(seen) / len(seen) < 2 / 255, sum(seen) / len(seen)
    assert sorted(seen)[int(0.99 * len(seen))] < 4 / 255, sorted(seen)[int(0.99 * len(seen))]
    assert max(seen) < 0.05, max(seen)
    assert settings == {name: getattr(bpy.context.scene.render, name) for name in settings}
    assert [thing.name for thing in bpy.data.scenes] == ["Scene"]
    assert sorted(thing.name for thing in bpy.data.objects) == ["Camera", "Cube", "Plane"]
    assert [layer.name for layer in floor.data.uv_layers] == ["UVMap"]
    assert bpy.context.view_layer.objects.active == cube
    yield 0
    # A second view from the other side fills what the first could not see, and keeps what it saw.
    other = looking.of_camera(camera((-2.5, 3.0, 4.0)), SIZE)
    all_steps(floor, picture, other, looking.depth_of(other), TEXTURE)
    baking.TILE = TEXTURE
    second = floor.active_material.node_tree.nodes["Gesso projection"].image
    now_hidden = compare(floor, view, second, 0.04)[1]
    filled = sum(error > 0.1 for error in now_hidden) / len(now_hidden)
    assert filled > 0.5, filled
    assert second != first and second.packed_file is not None
    assert {user.users for user in bpy.data.user_map(subset=[first])[first]} == {0}, "the object keeps more than one image"
    yield 0
    share = blended_by_facing(floor, view, other)
    yield 0
    painted = yield from by_the_operator(floor, cube)
    bpy.ops.wm.save_as_mainfile(filepath=os.path.join(FOLDER, "projected.blend"))
    return {
        "seen": len(seen),
        "hidden": len(hidden),
        "mean": sum(seen) / len(seen),
        "p99": sorted(seen)[int(0.99 * len(seen))],
        "worst_hidden": max(hidden),
        "filled": filled,
        "painted": painted,
        "share": share,
    }
