"""The engine: a loop that gathers the calls of all leased jobs, batches those with equal keys, runs them and sends the replies back in."""

from gesso.engine.calls import (
    All,
    Apply,
    Call,
    CallError,
    Decode,
    Denoise,
    Denoised,
    DenoiseGrad,
    Emit,
    EncodeImage,
    EncodeText,
    Host,
    Job,
    Load,
    ModelRef,
    Preview,
    Progress,
    Warn,
)

__all__ = [
    "All", "Apply", "Call", "CallError", "Decode", "Denoise", "DenoiseGrad", "Denoised", "Emit", "EncodeImage", "EncodeText", "Host",
    "Job", "Load", "ModelRef", "Preview", "Progress", "Warn",
]
