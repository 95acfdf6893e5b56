"""The environment of a result: equal environments promise equal bytes at level `exact`, different ones promise nothing."""

from __future__ import annotations

import platform
from pathlib import Path

import torch


def environment(device: torch.device) -> dict[str, str | int]:
    """What the bits of a result depend on beside the job: machine, device, torch, threads, kernels, number format. JSON-ready."""
    found: dict[str, str | int] = {
        "device": device.type,
        "machine": f"{platform.system()}-{platform.machine()}".lower(),
        "torch": torch.__version__,
        "dtype": "float16" if device.type == "cuda" else "float32",  # what families load their large networks as on such a device
        "matmul": torch.get_float32_matmul_precision(),
    }
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        found |= {"name": torch.cuda.get_device_name(device), "kernels": f"sm_{major}{minor}, CUDA {torch.version.cuda}, cuDNN {cudnn}"}
    else:
        onednn = "oneDNN" if torch.backends.mkldnn.is_available() else "native"  # type: ignore[no-untyped-call]
        capability = torch.backends.cpu.get_cpu_capability()
        found |= {"name": _processor(), "threads": torch.get_num_threads(), "kernels": f"{onednn}, {capability}"}
    return found


def settle(device: torch.device) -> None:
    """Take the choices that a library would else make by the stopwatch, once, before the first model is loaded."""
    if device.type == "cuda":
        torch.cuda.init()  # type: ignore[no-untyped-call]  # the engine's guard then finds the GPUs' global random numbers
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
