"""The proofs over PLAIN, with values worked out by hand from docs/protocol.md."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from gesso.wire import auth

TOKEN = "00112233445566778899aabbccddeeff" * 2
NONCE = "0123456789abcdef" * 2


def test_proofs_are_what_the_page_says() -> None:
    key = bytes.fromhex(TOKEN)
    for side, proof in (("client", auth.client_proof), ("daemon", auth.daemon_proof)):
        text = f"gesso/1 {side}|{NONCE}|127.0.0.1:50123".encode()
        assert proof(TOKEN, NONCE, "127.0.0.1:50123") == hmac.new(key, text, hashlib.sha256).hexdigest()
        assert proof(TOKEN, NONCE, "tcp://127.0.0.1:50123") == proof(TOKEN, NONCE, "127.0.0.1:50123")


def test_every_part_counts() -> None:
    base = auth.client_proof(TOKEN, NONCE, "127.0.0.1:1")
    others = [
        auth.daemon_proof(TOKEN, NONCE, "127.0.0.1:1"),
        auth.client_proof(auth.new_token(), NONCE, "127.0.0.1:1"),
        auth.client_proof(TOKEN, auth.new_nonce(), "127.0.0.1:1"),
        auth.client_proof(TOKEN, NONCE, "127.0.0.1:2"),
    ]
    assert len({base, *others}) == 5
    assert auth.matches(base, base)
    assert not any(auth.matches(other, base) for other in [*others, "", base[:-1], "ä" * 64, "\ud800"])


def test_forms() -> None:
    assert auth.is_nonce(auth.new_nonce())
    assert auth.is_token(auth.new_token())
    assert auth.new_nonce() != auth.new_nonce()
    for text in ("", NONCE[:-1], NONCE.upper(), NONCE + "\n", NONCE + "0", "g" * 32):
        assert not auth.is_nonce(text)
        assert not auth.is_token(text * 2)
    with pytest.raises(ValueError, match="64"):
        auth.client_proof("short", NONCE, "127.0.0.1:1")
