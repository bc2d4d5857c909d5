from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from face_analysis.zoo.catalogue import Entry

CONTENT = bytes(range(256)) * 1000
"""Longer than a piece of a download, so that reading it takes several."""


class Server:
    """A web server on this machine; `answer` writes the whole response of every request."""

    def __init__(self) -> None:
        self.answer: Callable[[BaseHTTPRequestHandler], None] = send
        self.requests = 0
        self.closing = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests += 1
                server.answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.http.server_port}/model.bin"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.closing.set()
        self.http.shutdown()
        self.http.server_close()


def send(
    handler: BaseHTTPRequestHandler, content: bytes = CONTENT, length: int | None = len(CONTENT)
) -> None:
    """Answer with `content`, announced as `length` bytes, or unannounced."""
    handler.send_response(200)
    if length is not None:
        handler.send_header("Content-Length", str(length))
    handler.end_headers()
    handler.wfile.write(content)
    handler.wfile.flush()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder of the test's own, with connections allowed and not through a proxy."""
    monkeypatch.setenv("FACE_ANALYSIS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FACE_ANALYSIS_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "cache"


def entry(address: str = "", carrier: tuple[str, str] | None = None) -> Entry:
    """A model that consists of CONTENT."""
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    return Entry("toy", "model.bin", sha256, "MIT", "a test", "nothing", address, carrier)


def carry(folder: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """A package that can be found, breaks when it is imported, and carries a file."""
    package = folder / "site" / "package_that_carries"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "models" / "model.bin").write_bytes(content)
    monkeypatch.syspath_prepend(package.parent)
    return package.name, "models/model.bin"
