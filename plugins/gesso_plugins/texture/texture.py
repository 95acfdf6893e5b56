"""The operation `texture`: a material from words or from a picture, as a colour that wraps around and the maps that go with it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, ClassVar

from gesso.engine import All, Apply, Emit, Host, Load, ModelRef, Warn
from gesso.errors import InvalidRequest
from gesso.media import MaterialMaps, Output
from gesso.media.seam import seams
from gesso.media.working import to_float
from gesso.model import ModelCard
from gesso.plugin import JobContext, OperationParams, ResolveContext
from gesso.plugin.choosing import candidates, choose, settled
from gesso.plugin.sampling import check_seeds
from gesso_plugins.texture import picture
from gesso_plugins.texture.outputs import Made, Plane, outputs
from gesso_plugins.texture.params import TextureParams

MAKES = "material_maps"
FINDS = "find_maps"
PAINTS = frozenset({"encode_image", "denoise"})
GENERATES = frozenset({"denoise", "paint", "next_tokens", "draw", "render"})


class Texture:
    """Makes a seamless material from words or from a picture: colour, height, normal, roughness, metallic and ambient occlusion."""

    name: ClassVar[str] = "texture"
    title: ClassVar[str] = "Texture"
    Params: ClassVar[type[OperationParams]] = TextureParams

    def resolve(self, ctx: ResolveContext, params: TextureParams) -> TextureParams:
        """Fill the model's size and check the model, the seeds and what goes with an image."""
        check_seeds(params)
        chosen = _of_picture(ctx, params) if params.image is not None else _of_words(ctx, params)
        return params.model_copy(update={**chosen, **settled(ctx, params)})

    def run(self, ctx: JobContext, params: TextureParams) -> Generator[Any, Any, list[Output]]:
        """All materials at once, each with its pictures."""
        if params.image is not None:
            source = yield Host(picture.read, (ctx.blob(params.image.sha256), params.width, params.height, params.tile))
            made = yield All(*(_mended(ctx, params, source, i) for i in range(candidates(params))))
        else:
            card = ctx.model(params.model)
            model = ModelRef(card.name, card.digest)
            yield Load(model)
            way = _rendered if MAKES in card.capabilities else _generated
            made = yield All(*(way(ctx, params, model, i) for i in range(candidates(params))))
        return (yield from choose(ctx, params, [output for pictures in made for output in pictures]))


def _of_words(ctx: ResolveContext, params: TextureParams) -> dict[str, Any]:
    """The model and its size, where a material is made from words."""
    if not params.prompt.strip():
        raise InvalidRequest("A material needs words or a picture.", field="prompt", hint='Say "red brick", or give an image.')
    card = ctx.model(params.model, capability=MAKES if params.model is None else None)
    if MAKES not in card.capabilities:
        if not card.capabilities & GENERATES:
            raise InvalidRequest(f"The model {card.name!r} makes no pictures.", field="model", hint="Leave the model out.")
        _finder(ctx, params)
    width, height = card.size(params.width, params.height)
    return {"model": card.name, "width": width, "height": height}


def _of_picture(ctx: ResolveContext, params: TextureParams) -> dict[str, Any]:
    """What fits to an image: a model only where it paints, several only where they differ."""
    _finder(ctx, params)
    if params.repair in ("blend", "paint") and params.tile == "none":
        said = f"The image is to be repaired ({params.repair}), but not to wrap around."
        raise InvalidRequest(said, field="tile", hint="Choose x, y or xy.")
    if params.repair != "paint":
        if params.model is not None:
            raise InvalidRequest("With an image, a model is what paints over its seam.", field="model", hint="Say repair=paint as well.")
        if candidates(params) > 1:
            raise InvalidRequest("The same picture gives the same maps each time.", field="count", hint="Ask for one, or for repair=paint.")
        return {}
    card: ModelCard = ctx.model(params.model, capability="encode_image")
    if not card.capabilities >= PAINTS:
        raise InvalidRequest(f"The model {card.name!r} cannot paint into a picture.", field="model", hint="Choose another model.")
    return {"model": card.name}


def _finder(ctx: ResolveContext, params: TextureParams) -> ModelRef | None:
    """The model that finds maps in a picture, where maps are wanted."""
    if not params.maps:
        return None
    card = ctx.model(None, capability=FINDS)
    return ModelRef(card.name, card.digest)


def _rendered(ctx: JobContext, params: TextureParams, model: ModelRef, index: int) -> Generator[Any, Any, list[Output]]:  # noqa: ARG001
    """By a model that knows the maps of what it makes."""
    seed = _seed(params, index)
    inputs = {"prompt": params.prompt, "width": params.width, "height": params.height, "seed": seed, "tile": params.tile}
    maps: MaterialMaps = yield Apply(model, MAKES, inputs)
    for warning in maps.warnings if index == 0 else ():
        yield Emit(Warn(warning))
    return outputs(Made(maps.base_color, maps if params.maps else None, model.name), params, index, seed)


def _generated(ctx: JobContext, params: TextureParams, model: ModelRef, index: int) -> Generator[Any, Any, list[Output]]:
    """By a model that makes pictures alone; the maps are found in what it made."""
    seed = _seed(params, index)
    asked = {"prompt": params.prompt, "model": model.name, "width": params.width, "height": params.height, "seed": seed}
    (output,) = yield from ctx.operation("generate", {**asked, "tile": params.tile})
    colour = to_float(output.pixels[..., :3])
    return (yield from _with_maps(ctx, params, Made(colour, None, model.name), index))


def _mended(ctx: JobContext, params: TextureParams, source: picture.Source, index: int) -> Generator[Any, Any, list[Output]]:
    """From a picture, made to wrap as the request says."""
    colour, how = yield Host(picture.blended, (source, params.tile, params.repair))
    if params.repair == "paint":
        colour, how = (yield from _painted(ctx, params, colour, _seed(params, index))), "paint"
    measured = {"repair": how, "seam_before": source.seams, "seam": seams(colour, params.tile)}
    return (yield from _with_maps(ctx, params, Made(colour, None, params.model or "", source.bits, measured), index))


def _painted(ctx: JobContext, params: TextureParams, colour: Plane, seed: int) -> Generator[Any, Any, Plane]:
    """A model's own picture of the cross where the borders meet, over what was blended there."""
    card: ModelCard = ctx.model(params.model)
    size = card.fitting(colour.shape[1], colour.shape[0])
    rolled, mask = yield Host(picture.crossed, (colour, params.tile))
    shown, hidden = yield Host(picture.shown, (rolled, mask, size, params.tile))
    asked: dict[str, Any] = {"prompt": params.prompt, "model": card.name, "seed": seed}
    asked |= {"width": size[0], "height": size[1], "tile": params.tile, "strength": params.strength}
    (output,) = yield from ctx.operation("generate", {**asked, "image": ctx.keep(shown), "mask": ctx.keep(hidden)})
    mended: Plane = yield Host(picture.laid_over, (rolled, output.pixels[..., :3], mask, params.tile))
    return mended


def _with_maps(ctx: JobContext, params: TextureParams, made: Made, index: int) -> Generator[Any, Any, list[Output]]:
    finder = _finder(ctx, params)
    maps = None
    if finder is not None:
        maps = yield Apply(finder, FINDS, {"picture": made.colour, "tile": params.tile})
    name = made.model or (finder.name if finder is not None else "")
    return outputs(Made(made.colour, maps, name, made.bits, made.measured), params, index, _seed(params, index))


def _seed(params: TextureParams, index: int) -> int:
    assert params.seed is not None
    return params.seed + index
