"""Full-size checkpoints end to end: random half-precision weights of SD 1.5 and SDXL, as a directory of diffusers and as one file of the
original layout, each through the command line at 128 px. It judges only that both forms give the same pixels.

    python bench/full_size.py [sd1 | sdxl ...]      writes bench/results/full_size.json

A form whose weights in float32, and half as much again, are more than the memory that is free now is left out, and the result says so.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "core"), str(ROOT / "plugins")]

import torch  # noqa: E402
from PIL import Image  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from tests.plugins.diffusion.originals import write_original  # noqa: E402
from tests.plugins.diffusion.unets import SCHEDULER, real_tokenizer  # noqa: E402

RESULT = ROOT / "bench/results/full_size.json"
STEPS, SIDE = 4, 128
CLIP_L: Mapping[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "hidden_act": "quick_gelu",
}
CLIP_G: Mapping[str, Any] = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_attention_heads": 20,
    "num_hidden_layers": 32,
    "hidden_act": "gelu",
}
XL_UNET: Mapping[str, Any] = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
FORMS: Mapping[str, tuple[str, str, float]] = {
    "sd1": ("stable-diffusion", "StableDiffusionPipeline", 1.07e9),
    "sdxl": ("stable-diffusion-xl", "StableDiffusionXLPipeline", 3.47e9),
}
"""Family, pipeline, parameters of all networks."""


def build(form: str, folder: Path) -> int:
    """A directory as diffusers writes it, each network drawn straight into half precision; its bytes."""
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    xl = form == "sdxl"
    words = {"vocab_size": 49408, "bos_token_id": 49406, "eos_token_id": 49407}
    with torch.device("meta"):
        networks: dict[str, Any] = {
            "unet": UNet2DConditionModel(**(XL_UNET if xl else {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8})),
            "vae": AutoencoderKL(
                block_out_channels=(128, 256, 512, 512), down_block_types=("DownEncoderBlock2D",) * 4, layers_per_block=2,
                up_block_types=("UpDecoderBlock2D",) * 4, latent_channels=4, scaling_factor=0.13025 if xl else 0.18215,
            ),
            "text_encoder": CLIPTextModel(CLIPTextConfig(**words, **CLIP_L)),
        }  # fmt: skip
        if xl:
            networks["text_encoder_2"] = CLIPTextModelWithProjection(CLIPTextConfig(**words, **CLIP_G, projection_dim=1280))
    index: dict[str, Any] = {"_class_name": FORMS[form][1], "scheduler": ["diffusers", "DDIMScheduler"], "force_zeros_for_empty_prompt": xl}
    for name, network in networks.items():
        text = name.startswith("text_encoder")
        if text:
            network.config.save_pretrained(folder / name)
        else:
            network.save_config(folder / name)
        save_file(drawn(network), folder / name / ("model.safetensors" if text else "diffusion_pytorch_model.safetensors"))
        index[name] = ["transformers" if text else "diffusers", type(network).__name__]
    for name, settings in {"tokenizer": {}, **({"tokenizer_2": {"pad_token": "!"}} if xl else {})}.items():
        real_tokenizer(**settings).save_pretrained(folder / name)
        index[name] = ["transformers", "CLIPTokenizer"]
    DDIMScheduler(**SCHEDULER).save_config(folder / "scheduler")
    (folder / "model_index.json").write_text(json.dumps(index))
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))


def drawn(network: Any) -> dict[str, torch.Tensor]:
    """Numbers about as large as trained ones: norms are 1, all else has the width of its input as its scale."""
    generator = torch.Generator().manual_seed(0)
    found = {}
    for name, value in network.state_dict().items():
        if value.dtype.is_floating_point:
            scale = 0.02 if value.dim() < 2 else value[0].numel() ** -0.5
            norm = value.dim() == 1 and name.endswith("weight")
            found[name] = (torch.randn(value.shape, generator=generator) * scale + float(norm)).to(torch.float16)
    return found


def made(home: Path, name: str, path: Path, folder: Path) -> dict[str, Any]:
    """Add the model, make two pictures: the first loads it."""
    environment = {**os.environ, "GESSO_HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path[1:3])}

    def gesso(*words: str) -> dict[str, Any]:
        ended = subprocess.run(
            [sys.executable, "-m", "gesso", *words, "--json"], env=environment, check=True, capture_output=True, text=True
        )
        told: dict[str, Any] = json.loads(ended.stdout)
        return told

    began = time.monotonic()
    gesso("models", "add", str(path), "--name", name)
    added = time.monotonic() - began
    ask = ("generate", "a mossy wall", "--model", name, "--size", str(SIDE), "--seed", "1", "--sampler", "ddim")
    first = gesso(*ask, "--steps", "1", "-o", str(folder / f"{name}-1.png"))
    second = gesso(*ask, "--steps", str(STEPS + 1), "-o", str(folder / f"{name}.png"))
    again = gesso(*ask, "--steps", "1", "-o", str(folder / f"{name}-2.png"))
    subprocess.run([sys.executable, "-m", "gesso", "stop"], env=environment, check=True, capture_output=True)
    return {
        "bytes": sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*.safetensors"))),
        "add_s": round(added, 2),
        "first_picture_s": round(first["seconds"], 2),
        "next_picture_s": round(again["seconds"], 2),
        "step_s": round((second["seconds"] - again["seconds"]) / STEPS, 3),
        "pixels": pixels(folder / f"{name}.png"),
    }


def pixels(path: Path) -> str:
    """SHA-256 of a picture's samples: the file also holds its recipe, with the model's name."""
    with Image.open(path) as picture:
        return hashlib.sha256(picture.tobytes()).hexdigest()


def free() -> int:
    """Bytes of memory that a new process can have."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def run(form: str) -> dict[str, Any]:
    """Both forms of one family, in one daemon after the other."""
    needed, there = int(FORMS[form][2] * 4 * 1.5), free()
    if there < needed:
        return {"left_out": f"needs {needed / 2**30:.0f} GiB of memory, {there / 2**30:.0f} are free"}
    with tempfile.TemporaryDirectory(prefix="gesso-full-") as name:
        root = Path(name)
        folder = root / form
        build(form, folder)
        told = {"directory": made(root / "a", form, folder, root)}
        path = write_original(folder, form, root / f"{form}.safetensors", torch.float16)
        told["single_file"] = made(root / "b", form + "-file", path, root)
    same = len({part.pop("pixels") for part in told.values()}) == 1
    return {**told, "same_pixels": same}


def main(forms: list[str]) -> int:
    """Run them and write the result; 1 if two forms differ."""
    measured = {form: run(form) for form in forms or list(FORMS)}
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version(), "torch": torch.__version__}
    setting = f"{SIDE} px, {STEPS} steps of ddim with guidance, float16 on disk, float32 on the CPU"
    document = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine, "setting": setting, "measured": measured}
    RESULT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(measured, indent=1))
    return 0 if all(part.get("same_pixels", True) for part in measured.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
