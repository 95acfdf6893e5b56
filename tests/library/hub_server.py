"""A hub on the loopback that speaks as much of the real one's API as its client asks for: model info with blobs, resolve with ranges,
etags, LFS hashes and a redirect to a place for large files. It can break connections, lie about content, and be gated.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = 4096
"""Files from this size on are served as LFS, from another path."""


@dataclass
class Hub:
    """``break_after``: bytes after which a transfer is cut, for so many transfers (``breaks``), after
    which the line is dead if ``refuse_after_break``. ``lies``: files whose bytes are changed."""

    repos: Mapping[str, Mapping[str, bytes]]
    gated: frozenset[str] = frozenset()
    lies: set[str] = field(default_factory=set)
    break_after: int = 0
    breaks: int = 0
    refuse_after_break: bool = False
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        hub = self

        class Handler(_Handler):
            def __init__(self, *arguments: Any) -> None:
                self.hub = hub
                super().__init__(*arguments)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def ranges(self) -> list[str]:
        """The ranges that were asked for."""
        return [wanted for _, _, wanted in self.asked if wanted]


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Be quiet."""

    def do_HEAD(self) -> None:
        self._serve(body=False)

    def do_GET(self) -> None:
        self._serve(body=True)

    def _serve(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.hub.asked.append((self.command, path, self.headers.get("Range")))
        pieces = path.strip("/").split("/")
        if pieces[:2] == ["api", "models"]:
            self._info("/".join(pieces[2:4]), pieces[5] if len(pieces) > 5 else "main")
        elif pieces[0] == "lfs":
            self._content("/".join(pieces[1:3]), "/".join(pieces[3:]), body)
        elif len(pieces) > 4 and pieces[2] == "resolve":
            self._resolve("/".join(pieces[:2]), pieces[3], "/".join(pieces[4:]), body)
        else:
            self._refuse(404, "EntryNotFound")

    def _info(self, repo: str, revision: str) -> None:
        if repo in self.hub.gated:
            self._refuse(403, "GatedRepo")
        elif repo not in self.hub.repos:
            self._refuse(404, "RepoNotFound")
        elif revision not in ("main", COMMIT):
            self._refuse(404, "RevisionNotFound")
        else:
            files = self.hub.repos[repo]
            self._answer({"id": repo, "sha": COMMIT, "siblings": [_sibling(name, content) for name, content in files.items()]})

    def _resolve(self, repo: str, revision: str, name: str, body: bool) -> None:
        content = self.hub.repos.get(repo, {}).get(name)
        if content is None or revision != COMMIT:
            self._refuse(404, "EntryNotFound")
        elif len(content) >= LARGE:
            self.send_response(302)
            self.send_header("Location", f"{self.hub.endpoint}/lfs/{repo}/{name}")
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("X-Linked-Etag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Linked-Size", str(len(content)))
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._content(repo, name, body)

    def _content(self, repo: str, name: str, body: bool) -> None:
        hub = self.hub
        content = hub.repos[repo][name]
        if name in hub.lies:
            content = content[:-1] + bytes([content[-1] ^ 1])
        start = 0
        if wanted := self.headers.get("Range"):
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", f'"{_blob(content)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if not body:
            return
        rest = content[start:]
        if hub.refuse_after_break and hub.breaks == 0:
            time.sleep(60)  # a line that is dead
        if hub.breaks > 0 and 0 < hub.break_after < len(rest):
            hub.breaks -= 1
            self.wfile.write(rest[: hub.break_after])
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
        else:
            self.wfile.write(rest)

    def _answer(self, content: object) -> None:
        raw = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _sibling(name: str, content: bytes) -> dict[str, object]:
    found: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": _blob(content)}
    if len(content) >= LARGE:
        found["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return found


def _blob(content: bytes) -> str:
    """As git names a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
