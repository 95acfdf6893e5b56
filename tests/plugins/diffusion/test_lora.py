"""LoRAs: every layout gives what adding them to the weights gives, they belong to a job, and taking them off leaves equal bits."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.plugins.diffusion import loras
from tests.plugins.diffusion.oracles import SEED, apart, ours, pipeline_of, theirs
from tests.plugins.diffusion.unets import build_sd, build_xl

from gesso.engine import All
from gesso.errors import InvalidRequest, ModelError
from gesso.manifest import ModelEntry
from gesso_plugins.diffusion.lora import LoraFamily
from gesso_plugins.imaging.generate import Sampling
from gesso_plugins.imaging.params import GenerateParams

pytestmark = pytest.mark.families
XL = "stable-diffusion-xl"
KINDS = {"sd": ("stable-diffusion", "StableDiffusionPipeline"), "xl": (XL, "StableDiffusionXLPipeline")}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bases")
    return {"sd": build_sd(root / "sd"), "xl": build_xl(root / "xl")}


def entry(path: Path, name: str = "made") -> ModelEntry:
    return ModelEntry(name, "lora", name, path, ("lora",), kind="lora")


def add(studio: Any, path: Path, name: str = "made") -> None:
    studio.registry.models = (*studio.registry.models, entry(path, name))


WRITERS: dict[str, Callable[[Any, Path, Any], Path]] = {
    "diffusers": lambda made, path, _: loras.write_diffusers(made, path),
    "kohya": loras.write_kohya,
    "kohya, original names": lambda made, path, pipeline: loras.write_kohya(made, path, pipeline, original=True),
}


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize("base", KINDS)
def test_a_lora_in_each_layout(studio: Any, folders: dict[str, Path], tmp_path: Path, base: str, layout: str) -> None:
    family, kind = KINDS[base]
    pipeline, sigmas = pipeline_of(kind, folders[base])
    made = loras.factors(pipeline, 1)
    add(studio, WRITERS[layout](made, tmp_path / "lora.safetensors", pipeline))
    plain = theirs(pipeline, sigmas)
    loras.merge(pipeline, loras.low_rank(made), 0.7)
    found = ours(studio, folders[base], sigmas, family=family, lora={"made": 0.7})
    assert apart(found, theirs(pipeline, sigmas)) < 1e-4
    assert apart(found, plain) > 1e-2


def test_diffusers_understands_our_kohya_names_as_we_do(folders: dict[str, Path], tmp_path: Path) -> None:
    """diffusers' own converter is the judge of the spelling, for both."""
    from diffusers.loaders.lora_conversion_utils import _convert_non_diffusers_lora_to_diffusers as convert

    pipeline, _ = pipeline_of("StableDiffusionPipeline", folders["sd"])
    made = loras.factors(pipeline, 1)
    converted, _ = convert(load_file(loras.write_kohya(made, tmp_path / "kohya.safetensors", pipeline)))
    theirs_by_name = {re.sub(r"\.processor|\.0(?=\.lora)", "", key).replace("_lora.", ".lora."): value for key, value in converted.items()}
    compared = 0
    for (component, name), pair in made.items():
        full = (name if component == "unet" else f"text_model.{loras.bare(name)}").removesuffix(".0")
        for part, value in zip(("down", "up"), pair, strict=True):
            names = [f"{component}.{full}.{lora}.{part}.weight" for lora in ("lora", "lora_linear_layer")]
            held = next((theirs_by_name[key] for key in names if key in theirs_by_name), None)
            if held is not None:
                assert torch.equal(held, value)
                compared += 1
    assert compared > len(made)


def test_the_oldest_layout_of_diffusers(studio: Any, folders: dict[str, Path], tmp_path: Path) -> None:
    pipeline, sigmas = pipeline_of("StableDiffusionPipeline", folders["sd"])
    made = {place: pair for place, pair in loras.factors(pipeline, 1).items() if place[0] == "unet" and "attn" in place[1]}
    add(studio, loras.write_old_diffusers(made, tmp_path / "old.safetensors"))
    loras.merge(pipeline, loras.low_rank(made), 1.0)
    assert apart(ours(studio, folders["sd"], sigmas, lora={"made": 1.0}), theirs(pipeline, sigmas)) < 1e-4


@pytest.mark.parametrize("kind", ["loha", "lokr"])
def test_lycoris(studio: Any, folders: dict[str, Path], tmp_path: Path, kind: str) -> None:
    pipeline, sigmas = pipeline_of("StableDiffusionPipeline", folders["sd"])
    deltas = loras.write_lycoris(pipeline, tmp_path / "a.safetensors", kind)
    add(studio, tmp_path / "a.safetensors")
    loras.merge(pipeline, deltas, 0.2)
    assert apart(ours(studio, folders["sd"], sigmas, lora={"made": 0.2}), theirs(pipeline, sigmas)) < 1e-4


@pytest.mark.parametrize("layout", ["kohya", "inputs", "peft"])
@pytest.mark.parametrize("weight", [1.0, 0.4])
def test_weight_decomposition(studio: Any, folders: dict[str, Path], tmp_path: Path, layout: str, weight: float) -> None:
    pipeline, sigmas = pipeline_of("StableDiffusionPipeline", folders["sd"])
    made = loras.factors(pipeline, 1)
    lengths = loras.lengths(pipeline, made, inputs=layout == "inputs")
    add(studio, loras.write_dora(made, lengths, tmp_path / "dora.safetensors", pipeline, layout))
    plain_lora = theirs(pipeline, sigmas)
    loras.merge(pipeline, loras.decomposed(pipeline, made, lengths), weight)
    found = ours(studio, folders["sd"], sigmas, lora={"made": weight})
    assert apart(found, theirs(pipeline, sigmas)) < 1e-4
    assert apart(found, plain_lora) > 1e-2


def test_several_add_up(studio: Any, folders: dict[str, Path], tmp_path: Path) -> None:
    pipeline, sigmas = pipeline_of("StableDiffusionPipeline", folders["sd"])
    for number, weight in ((1, 0.5), (2, -0.4)):
        made = loras.factors(pipeline, number)
        add(studio, loras.write_kohya(made, tmp_path / f"{number}.safetensors", pipeline), f"lora.{number}")
        loras.merge(pipeline, loras.low_rank(made), weight)
    assert apart(ours(studio, folders["sd"], sigmas, lora={"lora.2": -0.4, "lora.1": 0.5}), theirs(pipeline, sigmas)) < 1e-4


def test_two_jobs_with_different_loras_run_on_one_base_at_once_and_leave_no_trace(
    studio: Any, folders: dict[str, Path], tmp_path: Path
) -> None:
    pipeline, sigmas = pipeline_of("StableDiffusionPipeline", folders["sd"])
    for name, seed in (("one", 1), ("two", 2)):
        add(studio, loras.write_diffusers(loras.factors(pipeline, seed), tmp_path / f"{name}.safetensors"), name)
    before = ours(studio, folders["sd"], sigmas)
    alone = [ours(studio, folders["sd"], sigmas, lora={name: 1.0}) for name in ("one", "two")]
    ctx = studio.context()

    def job(lora: dict[str, float]) -> Any:
        shared = {"prompt": "mossy grey cobblestone", "negative": "blurred", "model": "tiny", "sampler": "ddim", "schedule": "karras"}
        numbers = {"steps": 5, "guidance": 4.0, "width": 32, "height": 32, "seed": SEED}
        task = Sampling(ctx, ctx.model("tiny"), GenerateParams(**shared, **numbers, lora=lora), list(sigmas))
        yield from task.prepare()
        return (yield from task.latent(0))

    def both() -> Any:
        return (yield All(job({"one": 1.0}), job({}), job({"two": 1.0})))

    one, plain, two = studio.run(both())
    assert torch.equal(one, alone[0])
    assert torch.equal(two, alone[1])
    assert torch.equal(plain, before)
    assert apart(one, two) > 1e-2


def test_the_picture_names_the_lora_as_the_peers_do(studio: Any, folders: dict[str, Path], tmp_path: Path) -> None:
    pipeline, _ = pipeline_of("StableDiffusionPipeline", folders["sd"])
    path = loras.write_kohya(loras.factors(pipeline, 1), tmp_path / "a.safetensors", pipeline)
    add(studio, path)
    studio.add("base", folders["sd"])
    made = studio.make("generate", {"prompt": "x", "model": "base", "seed": 1, "steps": 1, "width": 32, "height": 32, "lora": {"made": 1}})
    content = path.read_bytes()
    autov3 = hashlib.sha256(content[8 + int.from_bytes(content[:8], "little") :]).hexdigest()
    assert made.outputs[0].info["hashes"] == {"made": autov3[:12]}


def test_under_seamless_padding_a_convolutions_lora_wraps_too(studio: Any, folders: dict[str, Path], tmp_path: Path) -> None:
    pipeline, sigmas = pipeline_of("StableDiffusionPipeline", folders["sd"])
    made = {place: pair for place, pair in loras.factors(pipeline, 1).items() if "conv1" in place[1]}
    add(studio, loras.write_kohya(made, tmp_path / "a.safetensors", pipeline))
    found = ours(studio, folders["sd"], sigmas, lora={"made": 1.0}, tile="xy")
    loras.merge(pipeline, loras.low_rank(made), 1.0)
    for network in (pipeline.unet,):
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.padding_mode = "circular"
    assert apart(found, theirs(pipeline, sigmas)) < 1e-4


def test_another_base_is_refused_in_one_sentence(studio: Any, folders: dict[str, Path], tmp_path: Path) -> None:
    pipeline, sigmas = pipeline_of("StableDiffusionXLPipeline", folders["xl"])
    add(studio, loras.write_diffusers(loras.factors(pipeline, 1), tmp_path / "xl.safetensors"))
    before = ours(studio, folders["sd"], sigmas)
    with pytest.raises(InvalidRequest, match="was made for another base") as caught:
        ours(studio, folders["sd"], sigmas, lora={"made": 1.0})
    assert caught.value.field == "lora"
    assert torch.equal(ours(studio, folders["sd"], sigmas), before)


def test_a_base_that_is_known_is_refused_before_the_job_starts(studio: Any, folders: dict[str, Path], tmp_path: Path) -> None:
    key = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    for width, name in ((768, "sd"), (2048, "xl")):
        save_file(
            {f"{key}.lora_down.weight": torch.zeros(2, width), f"{key}.lora_up.weight": torch.zeros(8, 2)}, tmp_path / f"{name}.safetensors"
        )
        add(studio, tmp_path / f"{name}.safetensors", name)
    studio.add("tiny", build_sd(tmp_path, cross_attention_dim=768, text={"hidden_size": 768, "num_hidden_layers": 1}))
    request = {"prompt": "moss", "model": "tiny", "seed": 1}
    assert studio.resolve("generate", {**request, "lora": {"sd": 0.5}})[0].lora == {"sd": 0.5}
    with pytest.raises(InvalidRequest, match="made for models of the kind sdxl; 'tiny' is of the kind sd1"):
        studio.resolve("generate", {**request, "lora": {"xl": 0.5}})
    with pytest.raises(InvalidRequest, match="cannot do 'lora'") as caught:
        studio.resolve("generate", {**request, "lora": {"tiny": 0.5}})
    assert caught.value.field == "lora"
    with pytest.raises(InvalidRequest, match="weights go up to"):
        studio.resolve("generate", {**request, "lora": {"sd": 50}})


def test_what_is_no_lora_or_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"conv_in.weight": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match="is no LoRA that Gesso knows: it holds conv_in"):
        LoraFamily().inspect(entry(path))
    parts = {"lora_down.weight": torch.zeros(2, 8), "lora_up.weight": torch.zeros(8, 2), "w_norm": torch.zeros(8)}
    save_file({f"lora_unet_x.{part}": value for part, value in parts.items()}, path)
    with pytest.raises(ModelError, match="in a way that Gesso does not know"):
        LoraFamily().load(LoraFamily().inspect(entry(path)), torch.device("cpu"))
    with pytest.raises(ModelError, match="is not there"):
        LoraFamily().inspect(entry(tmp_path / "nothing"))
