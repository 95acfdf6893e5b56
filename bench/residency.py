"""What holding and running networks otherwise costs and saves: autoencoders in strips, 8 bits, channels last, compiled. Random weights.

    python bench/residency.py      writes bench/results/residency.json

Times are processor time, each form taken in turn with the plain one; memory is the growth of the process at its highest.
"""

from __future__ import annotations

import copy
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "core"), str(ROOT / "plugins")]

import torch  # noqa: E402
from torch.nn import functional  # noqa: E402

from gesso.model import Thrift  # noqa: E402
from gesso_plugins.diffusion import strips  # noqa: E402
from gesso_plugins.diffusion.codec import Codec  # noqa: E402
from gesso_plugins.diffusion.holding import as_int8, run_as_wished, size_of  # noqa: E402

RESULT = ROOT / "bench/results/residency.json"
MIB = 2**20
SIDE = 64
"""Of the latent that is decoded."""
TAKES = 5


def grown(what: Callable[[], object]) -> float:
    """MiB that the process has more at its highest than before."""
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    what()
    return (_status("VmHWM") - before) / 1024


def _status(name: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1])


def seconds(what: Callable[[], object]) -> float:
    """Of the processor."""
    began = time.process_time()
    what()
    return time.process_time() - began


def autoencoder() -> Any:
    """That of Stable Diffusion at full width."""
    from diffusers import AutoencoderKL

    kinds = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    return AutoencoderKL(block_out_channels=(128, 256, 512, 512), layers_per_block=2, **kinds).eval().requires_grad_(False)


def in_strips() -> dict[str, Any]:
    """Decode 512 x 512 whole, and with workspaces for a half and a quarter of the picture."""
    vae, latents = autoencoder(), torch.randn(1, 4, SIDE, SIDE)
    codec = Codec(vae, 4, torch.device("cpu"))
    levels = strips.decoder_levels(vae.decoder)
    most = strips.peak(levels, latents.shape)
    codec.decode(latents)
    found: dict[str, Any] = {}
    whole = codec.decode(latents)
    for name, workspace in (("whole", 0), ("half", most // 2), ("quarter", most // 4)):
        codec.hold(Thrift(workspace))
        apart = float((codec.decode(latents) - whole).abs().max())
        found[name] = {
            "workspace_mib": workspace // MIB or None,
            "grown_mib": round(grown(lambda: codec.decode(latents))),
            "seconds": round(seconds(lambda: codec.decode(latents)), 2),
            "apart": apart,
        }
    widest = 256 * (8 * SIDE) ** 2 * 4 / MIB
    return {**found, "copies": round(found["whole"]["grown_mib"] / widest, 2), "copies_assumed": strips.COPIES}


def attention() -> dict[str, Any]:
    """Memory of self-attention of 16384 places: held whole, its map would take 1 GiB a head."""
    q = torch.randn(1, 2, 16384, 40)
    return {"grown_mib": round(grown(lambda: functional.scaled_dot_product_attention(q, q, q))), "map_mib": 2 * 16384**2 * 4 // MIB}


def unet() -> Any:
    """Stable Diffusion's at half the width: 215 million weights."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(block_out_channels=(160, 320, 640, 640), cross_attention_dim=768).eval().requires_grad_(False)


def compared(plain: Any, thrift: Thrift, inputs: tuple[torch.Tensor, ...]) -> dict[str, Any]:
    """One form of a network against the plain one, forward by forward."""
    other = copy.deepcopy(plain)
    if thrift.int8:
        as_int8(other)
    run_as_wished((other,), thrift)

    def run(network: Any) -> float:
        return seconds(lambda: network(*inputs, return_dict=False))

    first = run(other)
    wanted, found = plain(*inputs, return_dict=False)[0], other(*inputs, return_dict=False)[0]
    ratios = sorted(run(other) / run(plain) for _ in range(TAKES))
    return {
        "time_ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 2) for ratio in ratios],
        "first_seconds": round(first, 1),
        "bytes_ratio": round(size_of(other) / size_of(plain), 3),
        "apart": float((found - wanted).abs().max() / wanted.abs().max()),
    }


def forms() -> dict[str, Any]:
    """One forward of a UNet with guidance at 256 x 256, in each form against the plain one."""
    plain, inputs = unet(), (torch.randn(2, 4, 32, 32), torch.tensor([500.0, 500.0]), torch.randn(2, 77, 768))
    wishes = {"int8": Thrift(int8=True), "channels_last": Thrift(channels_last=True), "compiled": Thrift(compiled=True)}
    return {name: compared(plain, thrift, inputs) for name, thrift in wishes.items()}


def main() -> int:
    """Measure, print, write."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with torch.no_grad():
        measured = {"decoder_in_strips": in_strips(), "attention": attention(), "unet": forms()}
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version(), "torch": torch.__version__}
    document = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine, "measured": measured}
    RESULT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(measured, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
