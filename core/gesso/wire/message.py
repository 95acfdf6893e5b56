"""The codec of `gesso/1`: header and payload <-> frames, and the tables of `docs/protocol.md` as data. It is pure: no socket, no clock."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ..errors import InvalidRequest, ProtocolError, TooLarge, UnknownType

PROTOCOL_VERSION = 1
PACKAGE_VERSION = "0.1.0"
VERSION_FRAME = b"gesso/1"

LIMITS: Mapping[str, int] = {
    "header_bytes": 262144,
    "header_depth": 32,
    "payload_bytes": 1048576,
    "frame_bytes": 2097152,
    "blob_bytes": 1073741824,
    "upload_credit": 4,
    "previews_per_second": 10,
}
ID_LENGTH = 64
INTEGER_DIGITS = 20

LEVELS = ("exact", "fast")
PRIORITIES = ("interactive", "batch")
OUTPUTS = ("png", "raw")
"""What every daemon knows; codecs of plugins add to it."""
STATES = ("accepted", "leased", "running", "done", "failed", "cancelled")
TERMINAL = ("done", "failed", "cancelled")
PLANE_MEDIA_TYPE = "application/x-gesso-plane"

STRING, INTEGER, BOOLEAN, LIST, OBJECT, ANY = "string", "integer", "boolean", "list", "object", "any"


@dataclass(frozen=True)
class Field:
    """One field of a header: its JSON type, and whether it may be left out (or null)."""

    kind: str
    optional: bool = False


@dataclass(frozen=True)
class RequestType:
    """A request: its fields beside ``type`` and ``id``, the type of its answer, and whether it carries a payload."""

    answer: str
    fields: Mapping[str, Field] = field(default_factory=dict)
    payload: bool = False


def _fields(**kinds: str) -> Dict[str, Field]:
    """``name="string"`` is required, ``name="string?"`` may be left out; ``from_`` stands for ``from``."""
    return {name.rstrip("_"): Field(kind.rstrip("?"), kind.endswith("?")) for name, kind in kinds.items()}


REQUESTS: Mapping[str, RequestType] = {
    "hello": RequestType("welcome", _fields(client=STRING, version=STRING, protocol=LIST, nonce="string?")),
    "ping": RequestType("pong"),
    "describe": RequestType("description", _fields(offset="integer?")),
    "submit": RequestType(
        "accepted",
        _fields(key=STRING, operation=STRING, params=OBJECT, level="string?", priority="string?", output="string?", watch="boolean?"),
    ),
    "cancel": RequestType("ok", _fields(job=STRING)),
    "attach": RequestType("attached", _fields(job=STRING, from_="integer?")),
    "detach": RequestType("ok", _fields(job=STRING)),
    "status": RequestType("state"),
    "list": RequestType("jobs", _fields(limit="integer?", states="list?", job="string?")),
    "history": RequestType("page", _fields(after="string?", ids="boolean?")),
    "forget": RequestType("ok", _fields(job=STRING)),
    "pin": RequestType("ok", _fields(job=STRING, pinned=BOOLEAN)),
    "pause": RequestType("ok", _fields(job=STRING, paused=BOOLEAN)),
    "prioritise": RequestType("ok", _fields(job=STRING, priority=STRING)),
    "blob.have": RequestType("blob.missing", _fields(sha256=LIST)),
    "blob.begin": RequestType("blob.ready", _fields(size=INTEGER, sha256="string?", media_type="string?", nonce="string?")),
    "blob.part": RequestType("blob.progress", _fields(upload=STRING, offset=INTEGER), payload=True),
    "blob.get": RequestType("blob.data", _fields(sha256=STRING, offset="integer?", length="integer?")),
    "suspend": RequestType("ok"),
    "resume": RequestType("ok"),
    "unload": RequestType("ok", _fields(model="string?")),
    "stop": RequestType("ok", _fields(drain="boolean?")),
}

ANSWERS: Mapping[str, Mapping[str, Field]] = {
    "welcome": _fields(
        protocol=INTEGER,
        version=STRING,
        pid=INTEGER,
        limits=OBJECT,
        principal=STRING,
        proof="string?",
        nonce_file="string?",
        nonce_sha256="string?",
        blobs="string?",
    ),
    "pong": {},
    "description": _fields(digest=STRING, offset=INTEGER, size=INTEGER),
    "accepted": _fields(job=STRING, state=STRING, seq=INTEGER, params=OBJECT, duplicate=BOOLEAN),
    "ok": {},
    "attached": _fields(job=STRING, state=STRING, seq=INTEGER, snapshot=OBJECT),
    "state": _fields(
        pid=INTEGER,
        version=STRING,
        uptime=ANY,
        device=ANY,
        queue=ANY,
        workers=ANY,
        models=ANY,
        storage=ANY,
        metrics=ANY,
        on_demand="boolean?",
        draining="boolean?",
        settings_fault="string?",
    ),
    "jobs": _fields(jobs=LIST, total=INTEGER),
    "page": _fields(total=INTEGER, more=BOOLEAN),
    "blob.missing": _fields(sha256=LIST),
    "blob.ready": _fields(upload="string?", path="string?", done=BOOLEAN),
    "blob.progress": _fields(upload=STRING, received=INTEGER, sha256="string?"),
    "blob.data": _fields(sha256=STRING, offset=INTEGER, size=INTEGER),
    "error": _fields(error=OBJECT),
}

EVENTS: Mapping[str, Tuple[str, ...]] = {
    "queued": ("job", "seq", "position"),
    "started": ("job", "seq", "worker", "attempt"),
    "progress": ("job", "seq", "image", "images", "step", "total", "fraction", "sigma", "rate"),
    "preview": ("job", "seq", "image", "width", "height", "media_type"),
    "log": ("job", "seq", "level", "message"),
    "done": ("job", "seq", "result"),
    "failed": ("job", "seq", "error"),
    "cancelled": ("job", "seq"),
}

_CHECKS: Mapping[str, Tuple[type, ...]] = {
    STRING: (str,),
    INTEGER: (int,),
    BOOLEAN: (bool,),
    LIST: (list, tuple),
    OBJECT: (dict,),
    ANY: (object,),
}


@dataclass(frozen=True)
class Message:
    """One message: the header as a JSON object with a ``type``, and raw bytes."""

    header: Mapping[str, Any]
    payload: bytes = b""

    @property
    def type(self) -> str:
        """The message's type."""
        return str(self.header["type"])


def encode(header: Mapping[str, Any], payload: bytes = b"") -> List[bytes]:
    """Header and payload -> the three frames; raises ProtocolError (not JSON) or TooLarge."""
    try:
        raw = json.dumps(header, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")
    except (TypeError, ValueError, RecursionError) as fault:
        raise ProtocolError(f"This header cannot be written as JSON: {fault}.") from fault
    if len(raw) > LIMITS["header_bytes"]:
        raise TooLarge("The header has {} bytes; at most {} are allowed.".format(len(raw), LIMITS["header_bytes"]))
    if _depth(raw) > LIMITS["header_depth"]:
        raise TooLarge("The header is nested deeper than {} levels.".format(LIMITS["header_depth"]))
    if len(payload) > LIMITS["payload_bytes"]:
        raise TooLarge("The payload has {} bytes; at most {} are allowed.".format(len(payload), LIMITS["payload_bytes"]))
    return [VERSION_FRAME, raw, payload]


def decode(frames: Sequence[bytes]) -> Message:
    """The three frames -> message; raises ProtocolError or TooLarge. What a header means is not looked at, but that it has a ``type``."""
    if len(frames) != 3:
        raise ProtocolError(f"A message has 3 frames, this one has {len(frames)}.")
    version, raw, payload = frames
    if version != VERSION_FRAME:
        raise ProtocolError(f"A message begins with the frame {VERSION_FRAME.decode()!r}.")
    if len(payload) > LIMITS["payload_bytes"]:
        raise TooLarge("The payload has {} bytes; at most {} are allowed.".format(len(payload), LIMITS["payload_bytes"]))
    header = parse_header(raw)
    if not isinstance(header.get("type"), str):
        raise ProtocolError("A header has a string `type`.", field="type")
    return Message(header, payload)


def parse_header(raw: bytes) -> Dict[str, Any]:
    """Strict JSON: an object, UTF-8, bounded in size, depth and digits, no NaN or infinity, no key twice, no lone surrogate."""
    if len(raw) > LIMITS["header_bytes"]:
        raise TooLarge("The header has {} bytes; at most {} are allowed.".format(len(raw), LIMITS["header_bytes"]))
    if _depth(raw) > LIMITS["header_depth"]:
        raise TooLarge("The header is nested deeper than {} levels.".format(LIMITS["header_depth"]))
    try:
        text = raw.decode("utf-8")
        header = json.loads(text, object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant)
        if "\\u" in text:
            json.dumps(header, ensure_ascii=False).encode("utf-8")
    except ValueError as fault:
        raise ProtocolError("The header cannot be read: {}.".format(str(fault).rstrip("."))) from fault
    if not isinstance(header, dict):
        raise ProtocolError("The header is not a JSON object.")
    return header


def check_request(header: Mapping[str, Any], payload: bytes = b"") -> RequestType:
    """Hold a request against the table: known type, ``id``, fields present and of their JSON type; raises UnknownType or ProtocolError."""
    kind = REQUESTS.get(str(header.get("type")))
    if kind is None:
        raise UnknownType(
            "The daemon does not know the message type {!r}.".format(str(header.get("type"))[:ID_LENGTH]),
            field="type",
            details={"known": sorted(REQUESTS)},
        )
    ident = header.get("id")
    if not isinstance(ident, str) or not 1 <= len(ident) <= ID_LENGTH:
        raise ProtocolError(f"A request has an `id` of 1 to {ID_LENGTH} characters.", field="id")
    _check_fields(str(header["type"]), kind.fields, header)
    if payload and not kind.payload:
        raise ProtocolError("A `{}` carries no payload.".format(header["type"]))
    return kind


def check_answer(header: Mapping[str, Any]) -> None:
    """Hold an answer against the table; raises ProtocolError."""
    fields = ANSWERS.get(str(header.get("type")))
    if fields is None:
        raise ProtocolError("The daemon sent an answer of the unknown type {!r}.".format(str(header.get("type"))[:ID_LENGTH]))
    _check_fields(str(header["type"]), fields, header)


def check_choice(header: Mapping[str, Any], name: str, choices: Sequence[str], default: str) -> str:
    """The value of an optional word, one of ``choices``; raises InvalidRequest that lists them."""
    value = header.get(name)
    if value is None:
        return default
    if value not in choices:
        raise InvalidRequest("`{}` is one of {}, not {!r}.".format(name, ", ".join(choices), str(value)[:ID_LENGTH]), field=name)
    return str(value)


def _check_fields(kind: str, fields: Mapping[str, Field], header: Mapping[str, Any]) -> None:
    for name, wanted in fields.items():
        value = header.get(name)
        if value is None and (wanted.optional or wanted.kind == ANY):
            continue
        right = isinstance(value, _CHECKS[wanted.kind]) and not (wanted.kind == INTEGER and isinstance(value, bool))
        if not right:
            raise ProtocolError(f"`{kind}` needs the field `{name}` as a JSON {wanted.kind}.", field=name)


def _depth(raw: bytes) -> int:
    """How deep brackets nest, strings left out; linear, and right up to the first byte at which a JSON parser would stop."""
    if raw.count(b"[") + raw.count(b"{") <= LIMITS["header_depth"]:
        return 0
    bare = b"".join(raw.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    deepest = depth = 0
    for byte in bare:
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def _object(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:ID_LENGTH]!r} stands twice in one object")
    return found


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > INTEGER_DIGITS:
        raise ValueError(f"an integer has more than {INTEGER_DIGITS} digits")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _constant(name: str) -> Optional[float]:
    raise ValueError(f"{name} is not JSON")
