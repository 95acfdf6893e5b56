"""The client of Gesso's daemon. Standard library only (3.9): hosts copy it. `gesso.client.aio` has the asyncio twin."""

from .blocking import Client, Job, start_daemon
from .events import Cancelled, Done, Event, Failed, Log, Preview, Progress, Queued, Started
from .remote import Remote
from .results import Result, ResultImage

__all__ = [
    "Cancelled",
    "Client",
    "Done",
    "Event",
    "Failed",
    "Job",
    "Log",
    "Preview",
    "Progress",
    "Queued",
    "Remote",
    "Result",
    "ResultImage",
    "Started",
    "start_daemon",
]
