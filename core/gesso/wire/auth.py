"""The proofs of `gesso/1` over PLAIN: nonce and HMAC, so that the token never crosses the wire. It keeps no state and opens nothing."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

_NONCE = re.compile(r"[0-9a-f]{32}\Z")
_TOKEN = re.compile(r"[0-9a-f]{64}\Z")


def new_nonce() -> str:
    """32 fresh hexadecimal digits, good for one connection."""
    return secrets.token_hex(16)


def new_token() -> str:
    """64 fresh hexadecimal digits, new at every start of a daemon."""
    return secrets.token_hex(32)


def is_nonce(text: str) -> bool:
    """Whether this has the form of a nonce."""
    return _NONCE.match(text) is not None


def is_token(text: str) -> bool:
    """Whether this has the form of a token."""
    return _TOKEN.match(text) is not None


def address(endpoint: str) -> str:
    """``tcp://127.0.0.1:50123`` -> ``127.0.0.1:50123``, the form that the proofs contain."""
    return endpoint.split("://", 1)[-1]


def client_proof(token: str, nonce: str, endpoint: str) -> str:
    """The PLAIN password of a client: 64 hexadecimal digits. ``endpoint`` with or without ``tcp://``; ValueError for a malformed token."""
    return _proof("client", token, nonce, endpoint)


def daemon_proof(token: str, nonce: str, endpoint: str) -> str:
    """The ``proof`` in `welcome`: 64 hexadecimal digits."""
    return _proof("daemon", token, nonce, endpoint)


def _proof(side: str, token: str, nonce: str, endpoint: str) -> str:
    if not is_token(token):
        raise ValueError("A token is 64 lower-case hexadecimal digits.")
    text = f"gesso/1 {side}|{nonce}|{address(endpoint)}"
    return hmac.new(bytes.fromhex(token), text.encode("utf-8"), hashlib.sha256).hexdigest()


def matches(given: str, expected: str) -> bool:
    """Compare two proofs in constant time; text that is not ASCII never matches."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode("utf-8"))
