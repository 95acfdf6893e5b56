"""The operation `texture`: one material is six pictures, made by any model that gives material maps."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, ClassVar

from gesso.engine import All, Apply, Emit, Load, ModelRef, Warn
from gesso.errors import InvalidRequest
from gesso.media import MaterialMaps, Output, images
from gesso.plugin import JobContext, OperationParams, ResolveContext
from gesso.plugin.choosing import alone, candidates, choose, settled
from gesso.plugin.fields import SEED_MAX
from gesso_plugins.texture.params import TextureParams

CAPABILITY = "material_maps"


class Texture:
    """Makes a seamless material from words: base colour, height, normal, roughness, metallic and ambient occlusion."""

    name: ClassVar[str] = "texture"
    title: ClassVar[str] = "Texture"
    Params: ClassVar[type[OperationParams]] = TextureParams

    def resolve(self, ctx: ResolveContext, params: TextureParams) -> TextureParams:
        """Fill the model's size and check the model and the seeds."""
        card = ctx.model(params.model, capability=CAPABILITY)
        if CAPABILITY not in card.capabilities:
            raise InvalidRequest(f"The model {card.name!r} makes no material maps.", field="model", hint="Leave the model out.")
        if params.seed is None:
            raise InvalidRequest("The seed is missing. A job's seed is chosen before it is resolved.", field="seed")
        if params.seed + params.count - 1 > SEED_MAX:
            raise InvalidRequest(f"The seed of the last material would be over {SEED_MAX}; choose a smaller seed.", field="seed")
        width, height = card.size(params.width, params.height)
        return params.model_copy(update={"model": card.name, "width": width, "height": height, **settled(ctx, params)})

    def run(self, ctx: JobContext, params: TextureParams) -> Generator[Any, Any, list[Output]]:
        """All materials at once, six pictures each."""
        card = ctx.model(params.model, capability=CAPABILITY)
        model = ModelRef(card.name, card.digest)
        yield Load(model)
        made = yield All(*(_material(model, params, i) for i in range(candidates(params))))
        return (yield from choose(ctx, params, [output for outputs in made for output in outputs]))


def _material(model: ModelRef, params: TextureParams, index: int) -> Generator[Any, Any, list[Output]]:
    assert params.seed is not None
    seed = params.seed + index
    inputs = {"prompt": params.prompt, "width": params.width, "height": params.height, "seed": seed, "tile": params.tile}
    maps: MaterialMaps = yield Apply(model, CAPABILITY, inputs)
    for warning in maps.warnings if index == 0 else ():
        yield Emit(Warn(warning))
    own = alone(params, seed)
    planes = {
        "base_color": images.quantised(maps.base_color, 8),
        "height": images.quantised(maps.height, 16),
        "normal": images.quantised(maps.normal, 8),
        "roughness": images.quantised(maps.roughness, 8),
        "metallic": images.quantised(maps.metallic, 8),
        "ambient_occlusion": images.quantised(maps.ambient_occlusion, 8),
    }
    return [Output(pixels=pixels, role=role, index=index, seed=seed, params=own, model=model.name) for role, pixels in planes.items()]
