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
    Embed,
    Emit,
    EncodeImage,
    EncodeText,
    Host,
    Job,
    Load,
    Preview,
    Progress,
    Warn,
)
from gesso.engine.denoiser import Kept, Steer, masked, plain, reporting, steered
from gesso.engine.drive import Denoiser, Run, drive
from gesso.engine.forward import Models
from gesso.engine.guidance import NEGATIVE, PROMPT, Guide, Moment, Predicted, Prompted, Row, guided
from gesso.engine.loop import Engine, Hooks, JobEvent
from gesso.engine.replay import ReplayLog
from gesso.engine.task import Ended, Ticket
from gesso.model import ModelRef

__all__ = [
    "NEGATIVE",
    "PROMPT",
    "All",
    "Apply",
    "Call",
    "CallError",
    "Decode",
    "Denoise",
    "DenoiseGrad",
    "Denoised",
    "Denoiser",
    "Embed",
    "Emit",
    "EncodeImage",
    "EncodeText",
    "Ended",
    "Engine",
    "Guide",
    "Hooks",
    "Host",
    "Job",
    "JobEvent",
    "Kept",
    "Load",
    "ModelRef",
    "Models",
    "Moment",
    "Predicted",
    "Preview",
    "Progress",
    "Prompted",
    "ReplayLog",
    "Row",
    "Run",
    "Steer",
    "Ticket",
    "Warn",
    "drive",
    "guided",
    "masked",
    "plain",
    "reporting",
    "steered",
]
