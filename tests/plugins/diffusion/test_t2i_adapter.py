"""T2I-Adapters: the same latents as diffusers' own pipelines, beside a ControlNet too, in every form, and what does not fit."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.plugins.diffusion.oracles import SIDE, apart, ours, picture, pipeline_of, theirs
from tests.plugins.diffusion.test_controlnet import TYPES, XL, build_controlnet
from tests.plugins.diffusion.test_controlnet import add as add_controlnet
from tests.plugins.diffusion.unets import build_sd, build_xl

from gesso.errors import InvalidRequest, ModelError
from gesso.manifest import ModelEntry
from gesso.media import images
from gesso_plugins.diffusion.t2i_adapter import T2IAdapter, T2IAdapterFamily

pytestmark = pytest.mark.families
CASES: dict[str, tuple[str, str, Any, dict[str, Any]]] = {
    "sd": ("stable-diffusion", "StableDiffusionAdapterPipeline", build_sd, {"adapter_type": "full_adapter", "downscale_factor": 2}),
    "light": ("stable-diffusion", "StableDiffusionAdapterPipeline", build_sd, {"adapter_type": "light_adapter", "downscale_factor": 2}),
    "xl": (XL, "StableDiffusionXLAdapterPipeline", build_xl, {"adapter_type": "full_adapter_xl", "downscale_factor": 4}),
}
COMPLETE = {"control_strength": {"sketch": 0.7}, "control_start": {"sketch": 0.0}, "control_end": {"sketch": 1.0}}


def build_adapter(folder: Path, seed: int = 3, **settings: Any) -> Path:
    from diffusers import T2IAdapter

    torch.manual_seed(seed)
    T2IAdapter(**{"channels": [32, 64], "num_res_blocks": 2, **settings}).save_pretrained(folder)
    return folder


def add(studio: Any, path: Path, name: str = "sketch") -> None:
    entry = ModelEntry(name, "t2i-adapter", name, path, ("controlnet",), kind="t2i_adapter")
    studio.registry.models = (*studio.registry.models, entry)


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, Path, Path]:
    """Family, pipeline, base, adapter."""
    family, kind, build, settings = CASES[request.param]
    root = tmp_path_factory.mktemp(request.param)
    types = TYPES["xl" if request.param == "xl" else "sd"]
    base = build(root / "base", block_out_channels=(32, 64), down_block_types=types, sample_size=16)
    if request.param == "light":  # its last level is as wide as the one before
        base = build(root / "base", block_out_channels=(32, 32), down_block_types=types, sample_size=16)
        settings = {**settings, "channels": [32]}
    return family, kind, base, build_adapter(root / "net", **settings)


@pytest.mark.parametrize("strength", [1.0, 0.6])
def test_the_latents_of_diffusers(studio: Any, case: tuple[str, str, Path, Path], strength: float) -> None:
    from diffusers import T2IAdapter

    family, kind, base, net = case
    name, data = picture()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline, sigmas = pipeline_of(kind, base, adapter=T2IAdapter.from_pretrained(net, local_files_only=True))
    add(studio, net)
    fields = {**COMPLETE, "control_strength": {"sketch": strength}, "control": {"sketch": {"sha256": name}}}
    found = ours(studio, base, sigmas, family=family, blobs={name: data}, **fields)
    wanted = theirs(pipeline, sigmas, image=images.to_planes(data, SIDE, SIDE), adapter_conditioning_scale=strength)
    assert apart(found, wanted) < 1e-4
    assert apart(found, ours(studio, base, sigmas, family=family)) > 1e-3


def test_beside_a_controlnet_both_are_heard(studio: Any, tmp_path: Path) -> None:
    base = build_sd(tmp_path / "base", block_out_channels=(32, 64), down_block_types=TYPES["sd"], sample_size=16)
    name, data = picture()
    add(studio, build_adapter(tmp_path / "net", downscale_factor=2))
    add_controlnet(studio, build_controlnet(base, tmp_path / "edges"))

    def made(*names: str) -> torch.Tensor:
        whole = {f"control_{field}": dict.fromkeys(names, value) for field, value in (("strength", 1.0), ("start", 0.0), ("end", 1.0))}
        return ours(studio, base, [9.0, 3.0, 1.0, 0.0], blobs={name: data}, control={each: {"sha256": name} for each in names}, **whole)

    both = made("sketch", "edges")
    assert apart(both, made("sketch")) > 1e-3
    assert apart(both, made("edges")) > 1e-3


def test_a_picture_is_looked_at_once_a_job(studio: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = build_sd(tmp_path / "base", block_out_channels=(32, 64), down_block_types=TYPES["sd"], sample_size=16)
    add(studio, build_adapter(tmp_path / "net", downscale_factor=2))
    looked: list[torch.Tensor] = []
    features = T2IAdapter._features
    monkeypatch.setattr(T2IAdapter, "_features", lambda adapter, shown: (looked.append(shown), features(adapter, shown))[1])
    first, second = picture(3), picture(4)
    blobs, levels = dict([first, second]), [9.0, 3.0, 1.0, 0.0]

    def made(name: str) -> torch.Tensor:
        return ours(studio, base, levels, blobs=blobs, control={"sketch": {"sha256": name}}, **COMPLETE)

    one = made(first[0])
    assert len(looked) == 1
    assert not torch.equal(one, made(second[0]))
    assert torch.equal(one, made(first[0]))


@pytest.mark.parametrize("form", ["full_adapter", "light_adapter", "full_adapter_xl"])
@pytest.mark.parametrize("colours", [1, 3])
def test_one_file_of_the_original_layout(tmp_path: Path, form: str, colours: int) -> None:
    """The original counts its blocks through: two a level."""
    wide = {"full_adapter": [32, 64, 64, 64], "light_adapter": [32, 64, 64], "full_adapter_xl": [32, 64, 128, 128]}[form]
    blocks = 4 if form == "light_adapter" else 2
    factor = 16 if form == "full_adapter_xl" else 8
    settings = {"adapter_type": form, "channels": wide, "num_res_blocks": blocks, "downscale_factor": factor, "in_channels": colours}
    net = build_adapter(tmp_path / "net", **settings)
    weights = {}
    for key, value in load_file(net / "diffusion_pytorch_model.safetensors").items():
        parts = key.removeprefix("adapter.").split(".")
        if parts[0] == "body" and form == "light_adapter":
            parts = [part.replace("resnets", "body") for part in parts]
        elif parts[0] == "body":
            within = int(parts[3]) if parts[2] == "resnets" else 0
            parts = ["body", str(2 * int(parts[1]) + within), *(parts[4:] if parts[2] == "resnets" else parts[2:])]
        weights[".".join(parts)] = value
    path = tmp_path / "sketch.safetensors"
    save_file(weights, path)
    family = T2IAdapterFamily()
    assert family.settings(path) == {key: value for key, value in family.settings(net).items() if not key.startswith("_")}
    cards = [family.inspect(ModelEntry("a", "t2i-adapter", "A", each, ())) for each in (net, path)]
    assert cards[0].base == cards[1].base == ("sdxl" if factor == 16 else "sd1")
    one, other = (family.load(card, torch.device("cpu")).network.state_dict() for card in cards)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_grey_one_reads_brightness(tmp_path: Path) -> None:
    family = T2IAdapterFamily()
    net = build_adapter(tmp_path / "net", in_channels=1, downscale_factor=2)
    loaded = family.load(family.inspect(ModelEntry("a", "t2i-adapter", "A", net, ())), torch.device("cpu"))
    picture = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    grey = (0.299 * picture[:, :1] + 0.587 * picture[:, 1:2] + 0.114 * picture[:, 2:]).expand(-1, 3, -1, -1)
    with torch.no_grad():
        found, wanted = (loaded.steer({}, each, 1.0).features for each in (picture, grey))
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(found, wanted, strict=True))


def test_another_base_is_refused_in_one_sentence(studio: Any, tmp_path: Path) -> None:
    name, data = picture()
    add(studio, build_adapter(tmp_path / "net", channels=[32, 96], downscale_factor=2))
    with pytest.raises(InvalidRequest, match="The T2I-Adapter 'sketch' was made for another base") as caught:
        ours(studio, build_sd(tmp_path / "base"), [9.0, 1.0, 0.0], blobs={name: data}, control={"sketch": {"sha256": name}}, **COMPLETE)
    assert caught.value.field == "control"


def test_what_is_no_adapter_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"conv_in.weight": torch.zeros(1), "body.0.block1.weight": torch.zeros(1), "more": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match="is no T2I-Adapter in the original layout"):
        T2IAdapterFamily().inspect(ModelEntry("a", "t2i-adapter", "A", path, ()))
    (tmp_path / "config.json").write_text('{"_class_name": "ControlNetModel"}')
    with pytest.raises(ModelError, match="'ControlNetModel'"):
        T2IAdapterFamily().inspect(ModelEntry("a", "t2i-adapter", "A", tmp_path, ()))
    with pytest.raises(ModelError, match="is not there"):
        T2IAdapterFamily().inspect(ModelEntry("a", "t2i-adapter", "A", tmp_path / "none", ()))
