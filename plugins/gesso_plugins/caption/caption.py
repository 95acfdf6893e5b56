"""The operation `caption`: a picture and a vocabulary in, the words that fit best out. It makes no sentences of its own."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from gesso.engine import Embed, Host, ModelRef
from gesso.media import Output, images
from gesso.plugin import JobContext, OperationParams, ResolveContext
from gesso_plugins.caption.params import CaptionParams
from gesso_plugins.caption.vocabulary import phrases

CAPABILITY = "embed"
SIDE, WORDS, LINE, MARGIN = 256, 260, 16, 8


class Caption:
    """Ranks words by how well they fit a picture. They stand in the result, and beside the picture that comes out."""

    name: ClassVar[str] = "caption"
    title: ClassVar[str] = "Caption"
    Params: ClassVar[type[OperationParams]] = CaptionParams

    def resolve(self, ctx: ResolveContext, params: CaptionParams) -> CaptionParams:
        """The model by its name, and each phrase once."""
        card = ctx.model(params.model, capability=CAPABILITY)
        words = dict.fromkeys(" ".join(phrase.split()) for phrase in params.vocabulary)
        return params.model_copy(update={"model": card.name, "vocabulary": [phrase for phrase in words if phrase]})

    def run(self, ctx: JobContext, params: CaptionParams) -> Generator[Any, Any, list[Output]]:
        """One picture, all words."""
        card = ctx.model(params.model, capability=CAPABILITY)
        picture = yield Host(_pixels, (ctx.blob(params.image.sha256),))
        vocabulary = tuple(params.vocabulary) or phrases()
        seen, read = yield Embed(ModelRef(card.name, card.digest), (picture,), vocabulary)
        cosines = (read @ seen[0]).tolist()
        order = sorted(range(len(vocabulary)), key=lambda place: (-cosines[place], place))[: params.limit]
        captions = [{"words": vocabulary[place], "score": cosines[place]} for place in order]
        page = yield Host(drawn, (picture, [f"{each['score']:.3f}  {each['words']}" for each in captions]))
        return [Output(page, "caption", 0, 0, params.model_dump(mode="json"), card.name, info={"measured": {"captions": captions}})]


def drawn(picture: npt.NDArray[np.uint8], lines: Sequence[str]) -> npt.NDArray[np.uint8]:
    """The picture, with lines of text to its right."""
    shown = Image.fromarray(picture)
    shown.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    page = Image.new("RGB", (shown.width + WORDS + 2 * MARGIN, max(shown.height, LINE * len(lines)) + 2 * MARGIN), "#f4f4f2")
    page.paste(shown, (MARGIN, MARGIN))
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(12)
    for row, line in enumerate(lines):
        pen.text((shown.width + 2 * MARGIN, MARGIN + row * LINE), line, fill=(30, 30, 30), font=font)
    return np.asarray(page)


def _pixels(data: bytes) -> npt.NDArray[np.uint8]:
    return images.quantised(images.decode(data, "image"), 8)
