"""CLIP guidance: pictures that fit the words better, by the papers' formula, with any sampler, beside other guidance, masks and pruning."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

from gesso.engine import Embed, Gradient, ModelRef, Moment, Predicted
from gesso.errors import InvalidRequest
from gesso.manifest import ModelEntry
from gesso.media.preparing import Preparing
from gesso.model import Parametrisation
from gesso.training.tokenizer import train_tokenizer
from gesso_plugins.clip.family import ClipModel
from gesso_plugins.clip.guidance import clip_guidance
from gesso_plugins.clip.views import views

pytestmark = pytest.mark.filterwarnings("ignore")
TINY = {"prompt": "mossy brick", "model": "tiny", "width": 32, "height": 32, "steps": 4, "seed": 7, "sampler": "euler", "guidance": 3.0}
EPSILON, FLOW = Parametrisation("epsilon", (0.03, 1.0, 14.6)), Parametrisation("flow", (0.0, 1.0))


@pytest.fixture(scope="module", params=["CLIPModel", "SiglipModel"])
def eye(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with random weights: its opinion is worth nothing, but it has one."""
    folder = tmp_path_factory.mktemp(request.param)
    tokenizer = train_tokenizer(["red brick", "green moss"] * 5, vocabulary=620, length=12)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(3)
    text = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 12}
    text |= {"vocab_size": len(tokenizer), "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    vision = {**{name: text[name] for name in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")}}
    vision |= {"image_size": 32, "patch_size": 8}
    if request.param == "CLIPModel":
        model: Any = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16))
    else:
        model = SiglipModel(SiglipConfig(text_config=text | {"projection_size": 24}, vision_config=vision))
    for name, parameter in model.named_parameters():
        if "patch_embedding" in name or "projection" in name:
            parameter.data *= 20  # so that pictures differ for it
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def tiny(studio: Any, pipelines: Callable[[str], Path], eye: Path) -> Any:
    studio.add("tiny", pipelines("epsilon"))
    studio.add("stream", pipelines("v_prediction"))
    studio.registry.models = (*studio.registry.models, ModelEntry("eye", "clip", "Eye", eye, ("embed", "likeness")))
    return studio


def led(scale: float = 50.0, **options: Any) -> dict[str, Any]:
    return {"clip": {"scale": scale, "judge": "eye", "views": 2, **options}}


def cosine(studio: Any, pixels: Any, words: str = TINY["prompt"]) -> float:  # type: ignore[assignment]
    card = studio.catalogue.card("eye")

    def ask() -> Any:
        return (yield Embed(ModelRef(card.name, card.digest), (pixels,), (words,)))

    seen, read = studio.run(ask())
    return float(seen[0] @ read[0])


def pixels(studio: Any, **asked: Any) -> np.ndarray[Any, Any]:
    made: np.ndarray[Any, Any] = studio.make("generate", {**TINY, **asked}).outputs[0].pixels
    return made


# ---- the loss ----


def test_the_distance_is_one_minus_the_cosine_and_its_gradient_is_true(tiny: Any) -> None:
    with tiny.pool.using(_ref(tiny)) as model:
        assert isinstance(model, ClipModel)
        picture = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(1))
        rounded = (picture * 255).round() / 255
        found = model.apply("distance", {"picture": rounded, "text": "green moss", "views": 1})
        seen = model.embed_images([(rounded[0] * 255).round().to(torch.uint8).movedim(0, -1).numpy()])
        assert float(found) == pytest.approx(1.0 - float(seen[0] @ model.embed_texts(["green moss"])[0]), abs=1e-4)

        wanted = picture.clone().requires_grad_(True)
        inputs = {"text": "green moss", "views": 3}
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(model.apply("distance", {**inputs, "picture": wanted}), wanted)
        direction, width = torch.randn(picture.shape, generator=torch.Generator().manual_seed(2)), 2e-3
        ends = [float(model.apply("distance", {**inputs, "picture": picture + side * direction})) for side in (width, -width)]
        assert float((slope * direction).sum()) == pytest.approx((ends[0] - ends[1]) / (2 * width), rel=0.05, abs=1e-4)
        with pytest.raises(InvalidRequest, match="has no method 'smell'"):
            model.apply("smell", {})


def _ref(studio: Any) -> ModelRef:
    card = studio.catalogue.card("eye")
    return ModelRef(card.name, card.digest)


@pytest.mark.parametrize("size", [20, 32, 100])
def test_squares_are_scaled_as_pictures_are(size: int) -> None:
    picture = np.random.default_rng(4).integers(0, 256, (size, size, 3), np.uint8)
    preparing = Preparing.of(32, {})
    square = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    torch.testing.assert_close(preparing.differentiable(square), preparing([picture]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (40, 90), (8, 8)])
def test_views_lie_in_the_picture_and_are_spread(height: int, width: int) -> None:
    picture = torch.arange(height * width, dtype=torch.float32).view(1, 1, height, width).expand(1, 3, -1, -1)
    found = views(picture, 8)
    assert len(found) == 8
    assert all(view.shape[-1] == view.shape[-2] for view in found)
    assert found[0].shape[-1] == min(height, width)
    assert all(round(0.7 * min(height, width)) <= view.shape[-1] <= min(height, width) for view in found)
    if height > 8:
        assert len({(view.shape[-1], float(view[0, 0, 0])) for view in found}) == 8
    assert all(torch.equal(one, other) for one, other in zip(found, views(picture, 8), strict=True))


# ---- the formula ----


def moved(parametrisation: Parametrisation, sigma: float, **options: Any) -> torch.Tensor:
    """How x0 = 1 is moved by a gradient of 1e-3 everywhere."""
    moment = Moment(torch.zeros(1, 4, 8, 8), sigma, 0.5, parametrisation, "brick", ModelRef("eye", "e"))
    generator = clip_guidance.function(moment, **options)
    assert next(generator) == (Gradient("distance", {"text": "brick", "views": 4}),)
    with pytest.raises(StopIteration) as end:
        generator.send(Predicted(torch.ones(1, 4, 8, 8), {}, torch.full((1, 4, 8, 8), 1e-3)))
    change: torch.Tensor = end.value.value - 1.0
    return change


def test_x0_moves_by_the_scale_times_the_variance_times_the_gradient() -> None:
    assert torch.allclose(moved(EPSILON, 2.0, scale=10.0), torch.tensor(-10.0 * 4.0 * 1e-3))
    assert torch.allclose(moved(FLOW, 0.5, scale=10.0), torch.tensor(-10.0 * 0.25 / 0.5 * 1e-3))
    assert torch.allclose(moved(FLOW, 1.0, scale=1.0), torch.tensor(-1.0 / 0.02 * 1e-3))


def test_it_never_moves_further_than_its_limit() -> None:
    assert torch.allclose(moved(EPSILON, 14.0, scale=1000.0), torch.tensor(-0.3))
    assert torch.allclose(moved(EPSILON, 14.0, scale=1000.0, limit=0.1), torch.tensor(-0.1))


@pytest.mark.parametrize(("scale", "prompt"), [(0.0, "brick"), (30.0, "  ")])
def test_where_there_is_nothing_to_follow_no_gradient_is_computed(scale: float, prompt: str) -> None:
    moment = Moment(torch.zeros(1, 4, 8, 8), 1.0, 0.5, EPSILON, prompt, ModelRef("eye", "e"))
    assert next(clip_guidance.function(moment, scale=scale)) == ()


# ---- at work ----


@pytest.mark.parametrize(("sampler", "guidance"), [("euler", 1.0), ("dpmpp_2m", 3.0), ("heun", 3.0), ("lcm", 1.0)])
def test_the_picture_fits_better_with_any_sampler(tiny: Any, sampler: str, guidance: float) -> None:
    asked = {"sampler": sampler, "guidance": guidance}
    free, guided = pixels(tiny, **asked), pixels(tiny, **asked, guidance_extra=led(3000.0))
    assert cosine(tiny, guided) > cosine(tiny, free)


def test_it_moves_velocity_models_too(tiny: Any) -> None:
    asked = {"model": "stream"}
    assert cosine(tiny, pixels(tiny, **asked, guidance_extra=led(3000.0))) > cosine(tiny, pixels(tiny, **asked))


def test_what_asks_for_nothing_gives_equal_bits(tiny: Any) -> None:
    assert np.array_equal(pixels(tiny, guidance_extra=led(0.0)), pixels(tiny))


@pytest.fixture
def brightest(studio: Any) -> Iterator[str]:
    from gesso.plugin import ScorerSpec

    def score(ctx: Any) -> Any:
        yield from ()
        return [float(picture.mean()) / 255 for picture in ctx.pictures]

    kept = studio.registry.scorers.copy()
    studio.registry.scorers.add("brightest", ScorerSpec("brightest", score, "Brightest", "none"), "scoring")
    yield "brightest"
    studio.registry.scorers = kept


def test_a_survivor_inside_a_mask_is_the_picture_that_it_would_be_alone(tiny: Any, brightest: str) -> None:
    source = np.random.default_rng(5).integers(0, 256, (32, 32, 3), np.uint8)
    mask = np.zeros((32, 32), np.uint8)
    mask[:, 16:] = 255
    blobs = dict(_png(image) for image in (source, mask))
    names = list(blobs)
    asked = {
        **TINY,
        "image": {"sha256": names[0]},
        "mask": {"sha256": names[1]},
        "strength": 1.0,
        "steps": 6,
        "guidance_extra": led(500.0),
    }
    made = tiny.make("generate", {**asked, "best_of": 4, "keep": 1, "prune": [0.5], "score": {brightest: 1}}, blobs).outputs[0]
    assert np.array_equal(made.pixels[:, :16], source[:, :16])
    alone = tiny.make("generate", {**asked, "seed": made.seed}, blobs).outputs[0]
    assert np.array_equal(made.pixels, alone.pixels)
    assert made.params == alone.params
    free = tiny.make("generate", {**asked, "seed": made.seed, "guidance_extra": {}}, blobs).outputs[0]
    assert not np.array_equal(made.pixels, free.pixels)


def _png(image: np.ndarray[Any, Any]) -> tuple[str, bytes]:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return hashlib.sha256(file.getvalue()).hexdigest(), file.getvalue()


# ---- what was asked for ----


def test_the_judge_is_in_the_recipe(tiny: Any) -> None:
    resolved, notes = tiny.resolve("generate", {**TINY, "guidance_extra": {"clip": 20}})
    wanted = {"scale": 20.0, "views": 4, "limit": 0.3, "judge": "clip", "start": 0.0, "end": 1.0}
    assert resolved.guidance_extra == {"clip": wanted}
    assert notes == []
    assert tiny.resolve("generate", resolved.model_dump())[0] == resolved


def test_the_owners_model_is_the_judge_where_none_is_named(tiny: Any) -> None:
    options = tiny.registry.options
    try:
        tiny.registry.options = {**options, "clip": {"model": "eye"}}
        assert tiny.resolve("generate", {**TINY, "guidance_extra": {"clip": 20}})[0].guidance_extra["clip"]["judge"] == "eye"
    finally:
        tiny.registry.options = options


@pytest.mark.parametrize(
    ("asked", "field", "said"),
    [
        ({"judge": "tiny"}, "guidance_extra.clip.judge", "cannot do 'likeness'"),
        ({"judge": "ey"}, "guidance_extra.clip.judge", "eye"),
        ({"scale": -1}, "guidance_extra.clip.scale", "greater than or equal to 0"),
        ({"views": 0}, "guidance_extra.clip.views", "greater than or equal to 1"),
        ({"cutouts": 4}, "guidance_extra.clip.cutouts", "scale, views, limit, judge, start, end"),
    ],
)
def test_a_mistake_names_its_field(tiny: Any, asked: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        tiny.resolve("generate", {**TINY, "guidance_extra": {"clip": asked}})
    assert caught.value.field == field
    assert said in f"{caught.value.message} {caught.value.hint}"


def test_without_any_clip_it_says_so(studio: Any, pipelines: Callable[[str], Path]) -> None:
    studio.add("tiny", pipelines("epsilon"))
    studio.registry.models = tuple(model for model in studio.registry.models if model.family != "clip")
    with pytest.raises(InvalidRequest, match="no model that can do 'likeness'") as caught:
        studio.resolve("generate", {**TINY, "guidance_extra": {"clip": 3}})
    assert caught.value.field == "guidance_extra.clip.judge"
