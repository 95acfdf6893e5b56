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
from gesso.engine.denoiser import classifier_free, masked, plain, reporting
from gesso.engine.drive import Denoiser, Run, drive
from gesso.engine.forward import Models
from gesso.engine.loop import Engine, Hooks, JobEvent
from gesso.engine.replay import ReplayLog
from gesso.engine.task import Ended, Ticket

__all__ = [
    "All",
    "Apply",
    "Call",
    "CallError",
    "Decode",
    "Denoise",
    "DenoiseGrad",
    "Denoised",
    "Denoiser",
    "Emit",
    "EncodeImage",
    "EncodeText",
    "Ended",
    "Engine",
    "Hooks",
    "Host",
    "Job",
    "JobEvent",
    "Load",
    "ModelRef",
    "Models",
    "Preview",
    "Progress",
    "ReplayLog",
    "Run",
    "Ticket",
    "Warn",
    "classifier_free",
    "drive",
    "masked",
    "plain",
    "reporting",
]
