"""The operation `embed`: pictures and words in, their vectors out, as the rows of a plane. It compares nothing."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from gesso.engine import Embed, Host, ModelRef
from gesso.errors import GessoError, InvalidRequest
from gesso.media import Output, images
from gesso.plugin import JobContext, OperationParams, ResolveContext
from gesso_plugins.embed.params import EmbedParams

CAPABILITY, SMALLEST = "embed", 8


class Embedding:
    """Rows of unit vectors, those of pictures first. A picture that cannot be looked at has a row that is no number."""

    name: ClassVar[str] = "embed"
    title: ClassVar[str] = "Embed"
    Params: ClassVar[type[OperationParams]] = EmbedParams

    def resolve(self, ctx: ResolveContext, params: EmbedParams) -> EmbedParams:
        """The model by its name."""
        if not params.images and not params.texts:
            raise InvalidRequest("There is nothing to embed.", field="images", hint="Give pictures, or texts.")
        return params.model_copy(update={"model": ctx.model(params.model, capability=CAPABILITY).name})

    def run(self, ctx: JobContext, params: EmbedParams) -> Generator[Any, Any, list[Output]]:
        """All pictures in one forward."""
        card = ctx.model(params.model, capability=CAPABILITY)
        found = yield Host(_pictures, (tuple(ctx.blob(image.sha256) for image in params.images),))
        large = [place for place, picture in enumerate(found) if picture is not None]
        if len(large) < len(found):
            ctx.warn(f"{len(found) - len(large)} of {len(found)} pictures cannot be looked at: their rows are no numbers.")
        seen, read = yield Embed(ModelRef(card.name, card.digest), tuple(found[place] for place in large), tuple(params.texts))
        rows = np.full((len(found) + len(params.texts), (read if params.texts else seen).shape[1] if large or params.texts else 1), np.nan)
        rows[large] = seen.numpy() if large else rows[large]
        rows[len(found) :] = read.numpy() if params.texts else rows[len(found) :]
        return [Output(rows.astype(np.float32)[..., None], "vectors", 0, 0, params.model_dump(mode="json"), card.name)]


def _pictures(contents: tuple[bytes, ...]) -> list[npt.NDArray[np.uint8] | None]:
    return [_picture(content) for content in contents]


def _picture(content: bytes) -> npt.NDArray[np.uint8] | None:
    try:
        picture: npt.NDArray[np.uint8] = images.quantised(images.decode(content, "images"), 8)
    except GessoError:
        return None
    return picture if min(picture.shape[:2]) >= SMALLEST else None
