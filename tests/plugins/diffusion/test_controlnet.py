"""ControlNets: the same latents as diffusers' own pipelines, when they are heard, in every form, and what does not fit."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.plugins.diffusion.oracles import SIDE, STEPS, apart, ours, picture, pipeline_of, theirs
from tests.plugins.diffusion.unets import build_sd, build_xl

from gesso.errors import InvalidRequest, ModelError
from gesso.manifest import ModelEntry
from gesso.media import images
from gesso_plugins.diffusion.controlnet import ControlNetFamily
from gesso_plugins.diffusion.original_names import of_unet_settings, unet_names

pytestmark = pytest.mark.families
XL = "stable-diffusion-xl"
CASES = {
    "sd": ("stable-diffusion", "StableDiffusionControlNetPipeline", build_sd),
    "xl": (XL, "StableDiffusionXLControlNetPipeline", build_xl),
}


def build_controlnet(base: Path, folder: Path, seed: int = 3, hints: tuple[int, ...] = (8, 16)) -> Path:
    """From the UNet of a base, its zero convolutions no longer zero. ``hints``: halves the picture once less than it has numbers."""
    from diffusers import ControlNetModel, UNet2DConditionModel

    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        unet = UNet2DConditionModel.from_pretrained(base / "unet", local_files_only=True)
        net = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=hints)
    for layer in (*net.controlnet_down_blocks, net.controlnet_mid_block, net.controlnet_cond_embedding.conv_out):
        torch.nn.init.normal_(layer.weight, std=0.1)
    net.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, Path, Path]:
    """Family, pipeline, base, ControlNet."""
    family, kind, build = CASES[request.param]
    root = tmp_path_factory.mktemp(request.param)
    base = build(root / "base", block_out_channels=(32, 64), down_block_types=TYPES[request.param], sample_size=16)
    return family, kind, base, build_controlnet(base, root / "net")


TYPES = {"sd": ("CrossAttnDownBlock2D", "DownBlock2D"), "xl": ("DownBlock2D", "CrossAttnDownBlock2D")}


def add(studio: Any, path: Path, name: str = "edges") -> None:
    entry = ModelEntry(name, "controlnet", name, path, ("controlnet",), kind="controlnet")
    studio.registry.models = (*studio.registry.models, entry)


def asked(name: str, **more: Any) -> dict[str, Any]:
    return {"control": {name: {"sha256": picture()[0]}}, **more}


def steering(kind: str, base: Path, net: Path) -> tuple[Any, list[float]]:
    from diffusers import ControlNetModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pipeline_of(kind, base, controlnet=ControlNetModel.from_pretrained(net, local_files_only=True))


@pytest.mark.parametrize(("strength", "start", "end"), [(1.0, 0.0, 1.0), (0.6, 0.2, 0.8)])
def test_the_latents_of_diffusers(studio: Any, case: tuple[str, str, Path, Path], strength: float, start: float, end: float) -> None:
    family, kind, base, net = case
    name, data = picture()
    pipeline, sigmas = steering(kind, base, net)
    add(studio, net)
    fields = asked("edges", control_strength={"edges": strength}, control_start={"edges": start}, control_end={"edges": end})
    found = ours(studio, base, sigmas, family=family, blobs={name: data}, **fields)
    shown = images.to_planes(data, SIDE, SIDE)
    more = {"control_guidance_start": start, "control_guidance_end": end, "controlnet_conditioning_scale": strength}
    wanted = theirs(pipeline, sigmas, image=shown, **more)
    assert apart(found, wanted) < 1e-4
    assert apart(found, ours(studio, base, sigmas, family=family)) > 1e-3
    assert STEPS * start == 1 or start == 0


def test_two_at_once(studio: Any, case: tuple[str, str, Path, Path], tmp_path: Path) -> None:
    from diffusers import ControlNetModel

    family, kind, base, net = case
    other = build_controlnet(base, tmp_path / "other", seed=9)
    (name, data), (second, more) = picture(), picture(8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nets = [ControlNetModel.from_pretrained(path, local_files_only=True) for path in (net, other)]
        pipeline, sigmas = pipeline_of(kind, base, controlnet=nets)
    add(studio, net)
    add(studio, other, "depth")
    fields = {"control": {"edges": {"sha256": name}, "depth": {"sha256": second}}, "control_strength": {"edges": 0.5, "depth": 0.7}}
    complete = {"control_start": dict.fromkeys(("edges", "depth"), 0.0), "control_end": dict.fromkeys(("edges", "depth"), 1.0)}
    found = ours(studio, base, sigmas, family=family, blobs={name: data, second: more}, **fields, **complete)
    shown = [images.to_planes(part, SIDE, SIDE) for part in (data, more)]
    wanted = theirs(pipeline, sigmas, image=shown, controlnet_conditioning_scale=[0.5, 0.7])
    assert apart(found, wanted) < 1e-4


def test_one_file_of_the_original_layout(tmp_path: Path) -> None:
    base = build_sd(tmp_path / "base", block_out_channels=(32, 64), attention_head_dim=8)
    net = build_controlnet(base, tmp_path / "net", hints=(8, 16, 16, 16))
    weights = load_file(net / "diffusion_pytorch_model.safetensors")
    family = ControlNetFamily()
    config = family_settings(net)
    names = unet_names(of_unet_settings(config)).turned()
    hints = {"conv_in": 0, "conv_out": 14, **{f"blocks.{n}": 2 * n + 2 for n in range(6)}}
    found = {}
    for key, value in weights.items():
        head, _, leaf = key.rpartition(".")
        if head.startswith("controlnet_cond_embedding."):
            old = f"input_hint_block.{hints[head.removeprefix('controlnet_cond_embedding.')]}.{leaf}"
        elif head.startswith("controlnet_down_blocks."):
            old = f"zero_convs.{head.split('.')[1]}.0.{leaf}"
        else:
            old = f"middle_block_out.0.{leaf}" if head == "controlnet_mid_block" else str(names.renamed(key))
        found[f"control_model.{old}"] = value
    path = tmp_path / "control.safetensors"
    save_file(found, path)
    one, other = (family.inspect(ModelEntry("a", "controlnet", "A", p, ())) for p in (net, path))
    assert one.base == other.base
    loaded = [family.load(card, torch.device("cpu")).network.state_dict() for card in (one, other)]
    assert loaded[0].keys() == loaded[1].keys()
    assert all(torch.equal(loaded[0][key], loaded[1][key]) for key in loaded[0])


def family_settings(net: Path) -> dict[str, Any]:
    return ControlNetFamily().settings(net)


def test_another_base_is_refused_in_one_sentence(studio: Any, tmp_path: Path) -> None:
    name, data = picture()
    wide = build_controlnet(build_sd(tmp_path / "wide", block_out_channels=(64, 64)), tmp_path / "net")
    base = build_sd(tmp_path / "base")
    add(studio, wide)
    complete = {"control_strength": {"edges": 1.0}, "control_start": {"edges": 0.0}, "control_end": {"edges": 1.0}}
    with pytest.raises(InvalidRequest, match="was made for another base") as caught:
        ours(studio, base, [10.0, 1.0, 0.0], blobs={name: data}, **asked("edges"), **complete)
    assert caught.value.field == "control"


def test_too_little_memory_is_not_taken_for_another_base(tmp_path: Path) -> None:
    """Fails where every RuntimeError of the network becomes the sentence about the base: the engine would not try fewer rows."""
    family = ControlNetFamily()
    net = build_controlnet(build_sd(tmp_path / "base"), tmp_path / "net")
    loaded = family.load(family.inspect(ModelEntry("edges", "controlnet", "edges", net, ("controlnet",))), torch.device("cpu"))

    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    loaded.network.register_forward_pre_hook(full)
    inputs = {"sample": torch.zeros(1, 4, 16, 16), "timestep": 1, "encoder_hidden_states": torch.zeros(1, 77, 32), "added_cond_kwargs": {}}
    with pytest.raises(torch.OutOfMemoryError):
        loaded.steer(inputs, torch.zeros(1, 3, 32, 32), 1.0)


def test_the_fields_are_checked_and_completed(studio: Any, tmp_path: Path) -> None:
    base = build_sd(tmp_path / "base")
    add(studio, build_controlnet(base, tmp_path / "net"))
    studio.add("tiny", base)
    request = {"prompt": "moss", "model": "tiny", "seed": 1, **asked("edges")}
    resolved = studio.resolve("generate", request)[0]
    assert (resolved.control_strength, resolved.control_start, resolved.control_end) == ({"edges": 1.0}, {"edges": 0.0}, {"edges": 1.0})
    assert studio.resolve("generate", resolved.model_dump())[0] == resolved
    for change, field, said in (
        ({"control_strength": {"depth": 1}}, "control_strength", "no control 'depth'"),
        ({"control_end": {"edges": 1.5}}, "control_end", "not between 0 and 1"),
        ({"control_start": {"edges": 0.5}, "control_end": {"edges": 0.5}}, "control_end", "end before it starts"),
        ({"control": {"tiny": {"sha256": "0" * 64}}}, "control", "cannot do 'controlnet'"),
    ):
        with pytest.raises(InvalidRequest, match=said) as caught:
            studio.resolve("generate", {**request, **change})
        assert caught.value.field == field


def test_what_is_no_controlnet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"input_hint_block.0.weight": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match="is no ControlNet in the original layout"):
        ControlNetFamily().inspect(ModelEntry("a", "controlnet", "A", path, ()))
    (tmp_path / "config.json").write_text('{"_class_name": "FluxControlNetModel"}')
    with pytest.raises(ModelError, match="'FluxControlNetModel'"):
        ControlNetFamily().inspect(ModelEntry("a", "controlnet", "A", tmp_path, ()))
    with pytest.raises(ModelError, match="is not there"):
        ControlNetFamily().inspect(ModelEntry("a", "controlnet", "A", tmp_path / "none", ()))
