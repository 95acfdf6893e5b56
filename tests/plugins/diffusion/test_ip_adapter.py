"""IP-Adapters: the same latents as diffusers' own pipelines, of which rows hear the picture, and what does not fit."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.plugins.diffusion.oracles import SIDE, apart, ours, picture, pipeline_of, theirs
from tests.plugins.diffusion.test_controlnet import TYPES, XL, build_controlnet
from tests.plugins.diffusion.test_controlnet import add as add_controlnet
from tests.plugins.diffusion.unets import WIDTH, build_sd, build_xl

from gesso.errors import InvalidRequest, ModelError
from gesso.manifest import ModelEntry
from gesso.media import images
from gesso_plugins.diffusion.ip_adapter import IPAdapterFamily, prepared
from gesso_plugins.diffusion.listening import cross_attentions

pytestmark = pytest.mark.families
CASES = {
    "sd": ("stable-diffusion", "StableDiffusionPipeline", build_sd),
    "xl": (XL, "StableDiffusionXLPipeline", build_xl),
}
EYE = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": 16, "patch_size": 8}
State = dict[str, dict[str, torch.Tensor]]


def build_encoder(folder: Path, **settings: Any) -> Path:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(6)
    CLIPVisionModelWithProjection(CLIPVisionConfig(**{**EYE, "projection_dim": 20, **settings})).save_pretrained(folder)
    return folder


def projection(kind: str, width: int) -> dict[str, torch.Tensor]:
    """Random weights of a projection, under the names of the authors' files."""

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape) * shape[-1] ** -0.5

    if kind == "plain":
        return {"proj.weight": draw(4 * width, 20), "proj.bias": draw(4 * width), "norm.weight": 1 + draw(width), "norm.bias": draw(width)}
    inner, hidden = 64, EYE["hidden_size"]
    if kind == "full":
        found = {"proj.0.weight": draw(hidden, hidden), "proj.0.bias": draw(hidden), "proj.2.weight": draw(width, hidden)}
        return found | {"proj.2.bias": draw(width), "proj.3.weight": 1 + draw(width), "proj.3.bias": draw(width)}
    found = {"latents": draw(1, 3, inner), "proj_in.weight": draw(inner, hidden), "proj_in.bias": draw(inner)}
    found |= {"proj_out.weight": draw(width, inner), "proj_out.bias": draw(width)}
    found |= {"norm_out.weight": 1 + draw(width), "norm_out.bias": draw(width)}
    for layer in range(4):
        head = f"layers.{layer}"
        for norm in ("0.norm1", "0.norm2", "1.0"):
            found |= {f"{head}.{norm}.weight": 1 + draw(inner), f"{head}.{norm}.bias": draw(inner)}
        found |= {f"{head}.0.to_q.weight": draw(64, inner), f"{head}.0.to_kv.weight": draw(128, inner)}
        found |= {f"{head}.0.to_out.weight": draw(inner, 64)}
        found |= {f"{head}.1.1.weight": draw(4 * inner, inner), f"{head}.1.3.weight": draw(inner, 4 * inner)}
    return found


def build_adapter(unet: Any, path: Path, kind: str, width: int | None = None) -> State:
    torch.manual_seed(8)
    width = width or int(unet.config.cross_attention_dim)
    pairs = {}
    for number, layer in enumerate(cross_attentions(unet).values()):
        for name in ("to_k_ip", "to_v_ip"):
            pairs[f"{2 * number + 1}.{name}.weight"] = torch.randn(layer.to_k.out_features, width) * width**-0.5
    state = {"image_proj": projection(kind, width), "ip_adapter": pairs}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({f"{part}.{key}": value for part, values in state.items() for key, value in values.items()}, path)
    return state


def add(studio: Any, path: Path, name: str = "mood") -> None:
    entry = ModelEntry(name, "ip-adapter", name, path, ("controlnet", "reference"), kind="ip_adapter")
    studio.registry.models = (*studio.registry.models, entry)


def heard(strength: float, *names: str) -> dict[str, Any]:
    return {f"control_{field}": dict.fromkeys(names, value) for field, value in (("strength", strength), ("start", 0.0), ("end", 1.0))}


@pytest.mark.parametrize("kind", ["plain", "plus", "full"])
@pytest.mark.parametrize("base", CASES)
@pytest.mark.parametrize("strength", [1.0, 0.6])
def test_the_latents_of_diffusers(studio: Any, tmp_path: Path, base: str, kind: str, strength: float) -> None:
    from transformers import CLIPVisionModelWithProjection

    family, pipeline_kind, build = CASES[base]
    folder = build(tmp_path / "base", block_out_channels=(32, 64), down_block_types=TYPES[base], sample_size=16)
    encoder = CLIPVisionModelWithProjection.from_pretrained(build_encoder(tmp_path / "models/image_encoder"), local_files_only=True)
    pipeline, sigmas = pipeline_of(pipeline_kind, folder, image_encoder=encoder)
    state = build_adapter(pipeline.unet, tmp_path / "models/mood.safetensors", kind)
    plain = theirs(pipeline, sigmas)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline.unet._load_ip_adapter_weights([state])
    pipeline.set_ip_adapter_scale(strength)
    name, data = picture()
    seen = prepared(images.to_planes(data, SIDE, SIDE), EYE["image_size"])
    wanted = theirs(pipeline, sigmas, ip_adapter_image=seen)
    add(studio, tmp_path / "models/mood.safetensors")
    fields = {"control": {"mood": {"sha256": name}}, **heard(strength, "mood")}
    found = ours(studio, folder, sigmas, family=family, blobs={name: data}, **fields)
    assert apart(found, wanted) < 1e-4
    assert apart(found, plain) > 1e-3
    assert apart(ours(studio, folder, sigmas, family=family), plain) < 1e-4


@pytest.mark.parametrize(("part", "scale"), [("style", {"up": {"block_0": [0.0, 1.0]}}), ("all", 1.0)])
def test_in_part_it_is_heard_by_the_layer_of_instant_style(studio: Any, tmp_path: Path, part: str, scale: Any) -> None:
    """Without the layer in the control all of them hear; the numbers of the pairs must stay those of the layers that are left out."""
    from transformers import CLIPVisionModelWithProjection

    family, pipeline_kind, build = CASES["xl"]
    folder = build(tmp_path / "base", down_block_types=TYPES["xl"], block_out_channels=(32, 64), sample_size=16)
    encoder = CLIPVisionModelWithProjection.from_pretrained(build_encoder(tmp_path / "models/image_encoder"), local_files_only=True)
    pipeline, sigmas = pipeline_of(pipeline_kind, folder, image_encoder=encoder)
    state = build_adapter(pipeline.unet, tmp_path / "models/mood.safetensors", "plain")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline.unet._load_ip_adapter_weights([state])
    pipeline.set_ip_adapter_scale(scale)
    name, data = picture()
    wanted = theirs(pipeline, sigmas, ip_adapter_image=prepared(images.to_planes(data, SIDE, SIDE), EYE["image_size"]))
    add(studio, tmp_path / "models/mood.safetensors")
    fields = {"control": {"mood": {"sha256": name}}, "control_part": {"mood": part}, **heard(1.0, "mood")}
    assert apart(ours(studio, folder, sigmas, family=family, blobs={name: data}, **fields), wanted) < 1e-4


def test_what_cannot_be_heard_in_part_is_refused(studio: Any, tmp_path: Path) -> None:
    base = build_sd(tmp_path / "base")
    pipeline, _ = pipeline_of("StableDiffusionPipeline", base)
    build_encoder(tmp_path / "image_encoder")
    build_adapter(pipeline.unet, tmp_path / "mood.safetensors", "plain")
    add(studio, tmp_path / "mood.safetensors")
    studio.add("tiny", base)
    asked = {"prompt": "", "model": "tiny", "seed": 1, "control": {"mood": {"sha256": "0" * 64}}}
    refused = (({"mood": "layout"}, "which layer of the model 'tiny' takes the layout"), ({"tiny": "style"}, "no reference 'tiny'"))
    for more, said in refused:
        with pytest.raises(InvalidRequest, match=said) as caught:
            studio.resolve("generate", {**asked, "control_part": more})
        assert caught.value.field == "control_part"
    assert studio.resolve("generate", {**asked, "control_part": {"mood": "all"}})[0].control_part == {}


def test_beside_a_controlnet_both_are_heard(studio: Any, tmp_path: Path) -> None:
    base = build_sd(tmp_path / "base", block_out_channels=(32, 64), down_block_types=TYPES["sd"], sample_size=16)
    pipeline, sigmas = pipeline_of("StableDiffusionPipeline", base)
    build_encoder(tmp_path / "image_encoder")
    build_adapter(pipeline.unet, tmp_path / "mood.safetensors", "plain")
    add(studio, tmp_path / "mood.safetensors")
    add_controlnet(studio, build_controlnet(base, tmp_path / "edges"))
    name, data = picture()

    def made(*names: str) -> torch.Tensor:
        return ours(studio, base, sigmas, blobs={name: data}, control={each: {"sha256": name} for each in names}, **heard(1.0, *names))

    both = made("mood", "edges")
    assert apart(both, made("mood")) > 1e-3
    assert apart(both, made("edges")) > 1e-3


def test_preparing_is_that_of_transformers() -> None:
    """Of a picture that needs no scaling to a byte: scaling in floats and in bytes differ by their rounding."""
    import numpy as np
    from PIL import Image
    from transformers import CLIPImageProcessorPil

    samples = np.random.default_rng(1).integers(0, 256, (16, 24, 3), np.uint8)
    whole = {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}}
    wanted = CLIPImageProcessorPil(**whole)(Image.fromarray(samples), return_tensors="pt").pixel_values
    found = prepared(torch.from_numpy(samples).permute(2, 0, 1)[None].float() / 255, 16)
    assert torch.allclose(found, wanted, atol=1e-5)


def test_what_does_not_fit_is_refused_in_one_sentence(studio: Any, tmp_path: Path) -> None:
    base = build_sd(tmp_path / "base")
    pipeline, _ = pipeline_of("StableDiffusionPipeline", base)
    build_encoder(tmp_path / "models/image_encoder")
    path = tmp_path / "models/mood.safetensors"
    build_adapter(pipeline.unet, path, "plain", width=2 * WIDTH)
    add(studio, path)
    name, data = picture()
    with pytest.raises(InvalidRequest, match="The IP-Adapter 'mood' was made for another base") as caught:
        ours(studio, base, [9.0, 1.0, 0.0], blobs={name: data}, control={"mood": {"sha256": name}}, **heard(1.0, "mood"))
    assert caught.value.field == "control"
    shutil.rmtree(tmp_path / "models/image_encoder")
    build_encoder(tmp_path / "models/image_encoder", projection_dim=12)
    with pytest.raises(ModelError, match="needs its image encoder: a directory of a CLIP vision model with projection_dim 20"):
        IPAdapterFamily().inspect(ModelEntry("a", "ip-adapter", "A", path, ()))


def test_what_is_no_adapter_or_reads_faces_is_refused(tmp_path: Path) -> None:
    path, pair = tmp_path / "a.safetensors", {"ip_adapter.1.to_k_ip.weight": torch.zeros(4, 8)}
    for extra, said in (
        ({"conv_in.weight": torch.zeros(1)}, "is no IP-Adapter"),
        ({"image_proj.proj.0.weight": torch.zeros(2, 2), "image_proj.norm.weight": torch.zeros(2)}, "reads faces"),
        ({"image_proj.perceiver_resampler.proj_in.weight": torch.zeros(2, 2)}, "reads faces"),
    ):
        save_file({**pair, **extra}, path)
        with pytest.raises(ModelError, match=said):
            IPAdapterFamily().inspect(ModelEntry("a", "ip-adapter", "A", path, ()))
    with pytest.raises(ModelError, match="is not there"):
        IPAdapterFamily().inspect(ModelEntry("a", "ip-adapter", "A", tmp_path / "none.safetensors", ()))
