"""Every error that Gesso shows to anybody: one closed tree, each leaf with a stable wire code. It knows nothing of sockets or models.

GessoError                      internal
|-- UsageError                  usage              (exit 2)
|-- ConfigError                 config             (exit 2; names the setting)
|-- InvalidRequest              invalid            (exit 2; names the field)
|-- ProtocolError               protocol
|   |-- UnknownType             unknown_type
|   |-- VersionMismatch         version_mismatch
|   `-- TooLarge                too_large
|-- Unauthorised                unauthorised
|-- Unreachable                 unreachable
|   `-- StartFailed             start_failed
|-- AlreadyRunning              already_running
|-- UnsafeState                 unsafe_state
|-- Conflict                    conflict
|-- BlobMissing                 blob_missing
|-- UnknownJob                  unknown_job
|-- Busy                        busy
|-- StorageFull                 storage_full
|-- OutputError                 output
|-- PluginError                 plugin
|-- ModelError                  model
|-- DataError                   data
|-- Refused                     refused            (a filter of the owner's)
`-- JobError                    job
    |-- Cancelled               cancelled          (exit 130)
    |-- Poisoned                poisoned
    |-- WorkerLost              worker_lost
    |-- OutOfMemory             out_of_memory
    |-- SamplerFault            sampler
    |-- LeakedState             leaked_state
    `-- TooManyEvaluations      too_many_evaluations
"""

from __future__ import annotations

from typing import Any, ClassVar, Dict, List, Mapping, Optional, Type


class GessoError(Exception):
    """Something went wrong inside Gesso that it has no better name for."""

    code: ClassVar[str] = "internal"
    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        message: str,
        *,
        field: Optional[str] = None,
        hint: Optional[str] = None,
        details: Optional[Mapping[str, Any]] = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.hint = hint
        self.details: Dict[str, Any] = dict(details or {})

    def to_wire(self) -> Dict[str, Any]:
        """The JSON object that crosses the wire; empty parts are left out."""
        wire: Dict[str, Any] = {"code": self.code, "message": self.message}
        if self.field is not None:
            wire["field"] = self.field
        if self.hint is not None:
            wire["hint"] = self.hint
        if self.details:
            wire["details"] = self.details
        return wire

    @staticmethod
    def from_wire(wire: Mapping[str, Any]) -> "GessoError":
        """Rebuild the error of the class that owns ``wire["code"]``; an unknown code becomes a plain GessoError."""
        kind = by_code().get(str(wire.get("code")), GessoError)
        return kind(
            str(wire.get("message", "The daemon reported an error without a message.")),
            field=wire.get("field"),
            hint=wire.get("hint"),
            details=wire.get("details"),
        )


class UsageError(GessoError):
    """The command line was used in a way that Gesso does not understand."""

    code = "usage"
    exit_code = 2


class ConfigError(GessoError):
    """A setting is wrong; ``field`` says which one, the sentence where it stands."""

    code = "config"
    exit_code = 2


class InvalidRequest(GessoError):
    """A value in the request is wrong; ``field`` says which one."""

    code = "invalid"
    exit_code = 2


class ProtocolError(GessoError):
    """A message did not follow the protocol."""

    code = "protocol"


class UnknownType(ProtocolError):
    """The daemon does not know this message type."""

    code = "unknown_type"


class VersionMismatch(ProtocolError):
    """The client and the daemon speak different versions."""

    code = "version_mismatch"


class TooLarge(ProtocolError):
    """A message or a part of it is over its limit."""

    code = "too_large"


class Unauthorised(GessoError):
    """The other side could not prove that it may take part."""

    code = "unauthorised"


class Unreachable(GessoError):
    """No daemon answers."""

    code = "unreachable"


class StartFailed(Unreachable):
    """The daemon could not be started."""

    code = "start_failed"


class AlreadyRunning(GessoError):
    """Another daemon already owns this state directory."""

    code = "already_running"


class UnsafeState(GessoError):
    """A state directory or file has an owner or permissions that would let strangers in."""

    code = "unsafe_state"


class Conflict(GessoError):
    """The same key was used for a different request."""

    code = "conflict"


class BlobMissing(GessoError):
    """The request names input images that the daemon does not hold; ``details["missing"]`` lists them."""

    code = "blob_missing"


class UnknownJob(GessoError):
    """No job has this id."""

    code = "unknown_job"


class Busy(GessoError):
    """The queue is full; ``details["retry_after"]`` gives the seconds to wait."""

    code = "busy"


class StorageFull(GessoError):
    """There is no room left to store the job or its result."""

    code = "storage_full"


class OutputError(GessoError):
    """A result could not be written where it was asked for."""

    code = "output"


class PluginError(GessoError):
    """A plugin is missing, broken or off; ``details["plugin"]`` names it."""

    code = "plugin"


class ModelError(GessoError):
    """A model could not be found, read or run."""

    code = "model"


class DataError(GessoError):
    """Pictures that a model is to learn from, or to be measured by, cannot be used."""

    code = "data"


class Refused(GessoError):
    """A filter that the owner of this Gesso turned on does not let the request, or what came of it, through."""

    code = "refused"


class JobError(GessoError):
    """The job failed while it ran."""

    code = "job"


class Cancelled(JobError):
    """The job was cancelled."""

    code = "cancelled"
    exit_code = 130


class Poisoned(JobError):
    """The job crashed the worker while it ran alone, and is not tried again."""

    code = "poisoned"


class WorkerLost(JobError):
    """The worker ended while it ran this job, and the job may not be run again."""

    code = "worker_lost"


class OutOfMemory(JobError):
    """The device had too little memory for this job."""

    code = "out_of_memory"


class SamplerFault(JobError):
    """A sampler raised, or yielded something that is not a valid step."""

    code = "sampler"


class LeakedState(JobError):
    """A generator changed global state (grad mode, default dtype, global RNG) and left it changed."""

    code = "leaked_state"


class TooManyEvaluations(JobError):
    """A sampler asked for more model evaluations than the job may spend."""

    code = "too_many_evaluations"


def _tree(kind: Type[GessoError]) -> List[Type[GessoError]]:
    found = [kind]
    for child in kind.__subclasses__():
        found.extend(_tree(child))
    return found


def by_code() -> Dict[str, Type[GessoError]]:
    """Every class of the tree by its wire code."""
    return {kind.code: kind for kind in _tree(GessoError) if kind.__module__ == __name__}
