"""Every setting there is, as one table. To add a setting, add a `Key`; reading, checking, `gesso config` and the test of
`docs/configuration.md` follow from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gesso.config import units
from gesso.errors import ConfigError

Value = bool | int | float | str
Kind = Literal["text", "boolean", "integer", "number", "size", "duration"]
When = Literal["at once", "next start", "next command"]


@dataclass(frozen=True)
class Key:
    """One setting. ``default`` is in bytes for a size and in seconds for a duration, for which 0 means never. ``empty`` says what an
    empty text or 0 stands for. ``taken``: when a change has an effect.
    """

    name: str
    kind: Kind
    default: Value
    text: str
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    empty: str | None = None
    taken: When = "next start"
    alias: str | None = None

    @property
    def variable(self) -> str:
        """The environment variable that goes over the file."""
        return self.alias or f"GESSO_{self.name.replace('.', '_').upper()}"

    @property
    def unit(self) -> str:
        """What a bare number counts."""
        return {"size": "bytes", "duration": "seconds"}.get(self.kind, "")

    def shown(self, value: Value) -> str:
        """A value as it may stand in the file, without quotes."""
        if self.kind == "size":
            return units.size(float(value))
        if self.kind == "duration":
            return units.NEVER if self.empty and not value else units.duration(float(value))
        return str(value).lower() if isinstance(value, bool) else str(value)

    def taken_from(self, given: object) -> Value:
        """What was written, as a value of this key; ValueError says what is wrong with it."""
        if self.kind == "boolean":
            if not isinstance(given, bool):
                raise ValueError("must be true or false")
            return given
        if self.kind == "text":
            return self._text(given)
        return self._number(given)

    def read(self, text: str) -> Value:
        """The same from the words of a person, an environment variable or a flag."""
        if self.kind == "boolean":
            found = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
            return self.taken_from(found.get(text.strip().lower(), text))
        if self.kind in ("integer", "number"):
            found_number = units.number_of(text, {})
            if found_number is None:
                raise ValueError("must be a whole number" if self.kind == "integer" else "must be a number")
            return self.taken_from(int(found_number) if found_number.is_integer() else found_number)
        return self.taken_from(text)

    def _text(self, given: object) -> str:
        if not isinstance(given, str):
            raise ValueError("must be text in quotes")
        if self.choices and given not in self.choices:
            raise ValueError(f"must be one of {', '.join(self.choices)}")
        if any(ord(letter) < 32 for letter in given):
            raise ValueError("must be one line without control characters")
        return given

    def _number(self, given: object) -> Value:
        if self.kind in ("size", "duration"):
            given = self._measured(given)
        if isinstance(given, bool) or not isinstance(given, (int, float)):
            raise ValueError("must be a whole number" if self.kind == "integer" else "must be a number")
        if not math.isfinite(given):
            raise ValueError("must be a finite number")
        if self.kind in ("integer", "size"):
            if given != int(given):
                raise ValueError("must be a whole number")
            given = int(given)
        if self.least is not None and given < self.least and not (self.empty and given == 0):
            raise ValueError(f"must be at least {self.shown(self.least)}")
        if self.most is not None and given > self.most:
            raise ValueError(f"must be at most {self.shown(self.most)}")
        return given

    def _measured(self, given: object) -> object:
        if not isinstance(given, str):
            return given
        if self.kind == "duration" and given.strip().lower() == units.NEVER:
            return 0
        table = units.SIZES if self.kind == "size" else units.DURATIONS
        found = units.number_of(given, table)
        if found is None:
            example = "20 GiB" if self.kind == "size" else "10 min"
            raise ValueError(f"must be a number with one of the units {', '.join(table)}, such as {example!r}")
        return int(found) if self.kind == "size" else found


_NEVER = "never"

KEYS: tuple[Key, ...] = (
    Key("daemon.tcp", "boolean", False, "Listen on loopback TCP too, secured by a token."),
    Key(
        "daemon.listen",
        "text",
        "",
        "Listen to other machines too, at tcp://HOST:PORT, for the keys of `gesso keys authorize`.",
        empty="this machine only",
        alias="GESSO_LISTEN",
    ),
    Key(
        "daemon.memory",
        "size",
        1 << 30,
        "What the front may take. Beyond it the connection that sent most without a whole message is ended; see docs/reliability.md.",
        least=128 << 20,
        taken="at once",
    ),
    Key(
        "idle.drop_weights",
        "duration",
        600,
        "Without work for so long, weights leave the device.",
        least=0.1,
        empty=_NEVER,
    ),
    Key(
        "idle.exit",
        "duration",
        3600,
        "Without a request or a job for so long, a daemon that a client started leaves. One started by `gesso serve` stays.",
        least=0.1,
        empty=_NEVER,
        taken="at once",
    ),
    Key(
        "worker.device",
        "text",
        "auto",
        "Where models run: auto (the first GPU, else the processor), cpu, cuda or cuda:N.",
        alias="GESSO_DEVICE",
    ),
    Key(
        "worker.threads",
        "integer",
        0,
        "Threads that compute on the processor.",
        least=1,
        most=1024,
        empty="all cores but one",
        alias="GESSO_THREADS",
    ),
    Key(
        "worker.memory",
        "size",
        0,
        "What weights may take on the device.",
        least=1 << 20,
        empty="80 % of what is free on a GPU, half of the memory elsewhere",
    ),
    Key(
        "worker.workspace",
        "size",
        0,
        "What an autoencoder may take beside its weights; larger pictures go through it in strips.",
        least=1 << 20,
        empty="a fifth of a GPU's memory, a quarter of the machine's elsewhere",
    ),
    Key(
        "worker.offload",
        "text",
        "auto",
        "Whether a model's text encoders, denoiser and autoencoder take turns on the device: where they do not fit together, or as said.",
        choices=("auto", "always", "never"),
    ),
    Key("worker.quantise", "text", "none", "How linear layers hold their weights: as they are, or in 8 bits.", choices=("none", "int8")),
    Key("worker.channels_last", "boolean", False, "Hold images channels last inside denoisers and autoencoders."),
    Key("worker.compile", "boolean", False, "Compile denoisers and autoencoders (`torch.compile`) when they first run."),
    Key("worker.slots", "integer", 4, "Jobs that the worker holds at once.", least=1, most=64),
    Key(
        "worker.replay_after",
        "duration",
        10,
        "Device time after which a job's steps are logged, so that it goes on in the middle if the worker ends.",
    ),
    Key("worker.start_patience", "duration", 300, "A worker that is not ready after so long is started anew.", least=0.1),
    Key("worker.silence_patience", "duration", 30, "A worker that gives no sign of life for so long is ended.", least=0.1),
    Key("worker.hang_patience", "duration", 600, "A worker whose engine stands still for so long while it has jobs is ended.", least=0.1),
    Key("models.default", "text", "", "The model that is taken where several can do a job.", empty="the first that can", taken="at once"),
    Key("queue.limit", "integer", 5000, "Jobs that may wait in all.", least=1, most=1_000_000, taken="at once"),
    Key("queue.client_limit", "integer", 500, "Jobs of one client that may wait.", least=1, most=1_000_000, taken="at once"),
    Key(
        "storage.limit",
        "size",
        20 << 30,
        "What pictures may take. Beyond it the oldest results that are not pinned go first, then inputs.",
        least=1 << 16,
        taken="at once",
    ),
    Key(
        "storage.keep",
        "duration",
        90 * 86400,
        "Jobs that ended longer ago are forgotten with their pictures, unless they are pinned.",
        least=1,
        empty=_NEVER,
        taken="at once",
    ),
    Key("storage.reserve", "size", 32 << 20, "What stays free on the disk: with less, no new job is accepted.", taken="at once"),
    Key("previews.per_second", "number", 10, "Previews of a job in a second, at most.", least=0.1, most=10),
    Key("logs.level", "text", "info", "What is worth a line.", choices=("debug", "info", "warning", "error"), taken="at once"),
    Key("logs.size", "size", 4 << 20, "A log file that is larger is put aside.", least=64 << 10),
    Key("logs.files", "integer", 3, "How many older files of each log are kept.", least=1, most=100),
    Key("logs.prompts", "boolean", False, "Write the parameters of jobs, prompts among them, into the log.", taken="at once"),
    Key("output.pattern", "text", "{slug}-{seed}-{n}", "How pictures in a folder are called.", taken="next command"),
)
BY_NAME: Mapping[str, Key] = {entry.name: entry for entry in KEYS}


def key(name: str) -> Key:
    """The key of that name; ConfigError with the nearest ones."""
    found = BY_NAME.get(name)
    if found is None:
        raise ConfigError(f"There is no setting {name[:80]!r}.", field=name[:80], hint=nearest(name))
    return found


def nearest(name: str) -> str:
    """What may have been meant."""
    import difflib  # only a mistake pays for it

    last = name.rpartition(".")[2]
    near = difflib.get_close_matches(name, BY_NAME, 2, 0.8) or [known for known in BY_NAME if known.rpartition(".")[2] == last]
    return f"Did you mean {' or '.join(near)}?" if near else "`gesso config list` shows them all."
