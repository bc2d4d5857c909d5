from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from face_analysis.errors import DownloadError
from face_analysis.zoo import download
from face_analysis.zoo.find import find_entry
from tests.zoo.conftest import CONTENT, Server, entry, send


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_download_shows_no_name_before_it_is_whole(cache: Path, server: Server) -> None:
    seen = []

    def in_halves(handler: BaseHTTPRequestHandler) -> None:
        send(handler, CONTENT[: len(CONTENT) // 2])
        seen.extend(name for name in names(cache) if not name.startswith("."))
        handler.wfile.write(CONTENT[len(CONTENT) // 2 :])

    server.answer = in_halves
    assert find_entry(entry(server.address)).read_bytes() == CONTENT
    assert seen == []
    assert names(cache) == ["model.bin"]


def test_a_truncated_download_is_refused_and_not_kept(cache: Path, server: Server) -> None:
    server.answer = lambda handler: send(handler, CONTENT[:-100])
    with pytest.raises(DownloadError, match=r"cut short|IncompleteRead"):
        find_entry(entry(server.address))
    assert names(cache) == []


def test_a_truncated_download_of_unknown_length_is_refused_by_its_hash(cache: Path, server: Server) -> None:
    server.answer = lambda handler: send(handler, CONTENT[:-100], length=None)
    with pytest.raises(DownloadError, match="another file, SHA-256"):
        find_entry(entry(server.address))
    assert names(cache) == []


def test_a_download_with_another_hash_is_refused_and_not_kept(cache: Path, server: Server) -> None:
    server.answer = lambda handler: send(handler, CONTENT[:-1] + b"\0")
    with pytest.raises(DownloadError, match=rf"{re.escape(server.address)} \(gave another file"):
        find_entry(entry(server.address))
    assert names(cache) == []
    server.answer = send
    assert find_entry(entry(server.address)).read_bytes() == CONTENT, "the next try is not spoilt"


def test_a_download_without_end_is_given_up(
    cache: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "LIMIT", len(CONTENT) * 2)

    def endless(handler: BaseHTTPRequestHandler) -> None:
        send(handler, length=None)
        try:
            while not server.closing.is_set():
                handler.wfile.write(CONTENT)
        except OSError:
            handler.close_connection = True

    server.answer = endless
    with pytest.raises(DownloadError, match=f"more than {len(CONTENT) * 2} bytes"):
        find_entry(entry(server.address))
    assert names(cache) == []


@pytest.mark.parametrize("sent", [None, CONTENT[:1000]], ids=["silent", "stops half-way"])
def test_a_server_that_hangs_is_given_up(sent: bytes | None, cache: Path, server: Server) -> None:
    def hang(handler: BaseHTTPRequestHandler) -> None:
        if sent is not None:
            send(handler, sent)
        server.closing.wait()

    server.answer = hang
    with pytest.raises(DownloadError, match="timed out"):
        find_entry(entry(server.address), timeout=0.1)
    assert names(cache) == []


def test_what_the_server_answers_is_told(cache: Path, server: Server) -> None:
    server.answer = lambda handler: handler.send_error(404)
    with pytest.raises(DownloadError, match="404 Not Found"):
        find_entry(entry(server.address))

    def no_http(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"nonsense\r\n\r\n")

    server.answer = no_http
    with pytest.raises(DownloadError, match=r"could not be fetched: .*nonsense"):
        find_entry(entry(server.address))
    assert names(cache) == []


def test_a_redirect_is_followed(server: Server) -> None:
    def redirect(handler: BaseHTTPRequestHandler) -> None:
        if handler.path == "/moved":
            return send(handler)
        handler.send_response(302)
        handler.send_header("Location", "/moved")
        return handler.end_headers()

    server.answer = redirect
    assert find_entry(entry(server.address)).read_bytes() == CONTENT


def test_threads_that_want_the_same_model_fetch_it_once(cache: Path, server: Server) -> None:
    together = threading.Barrier(8)

    def want(_: int) -> bytes:
        together.wait()
        return find_entry(entry(server.address)).read_bytes()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(want, range(8))) == [CONTENT] * 8
    assert server.requests == 1
    assert names(cache) == ["model.bin"]


def test_processes_that_want_the_same_model_at_once_get_one_whole_file(cache: Path, server: Server) -> None:
    together = threading.Barrier(3)

    def when_all_have_asked(handler: BaseHTTPRequestHandler) -> None:
        together.wait(timeout=60)
        send(handler)

    server.answer = when_all_have_asked
    code = (
        "from face_analysis.zoo.catalogue import Entry\n"
        "from face_analysis.zoo.find import find_entry\n"
        f"print(find_entry({entry(server.address)!r}))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
        )
        for _ in range(3)
    ]
    answers = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert answers == [str(cache / "model.bin")] * 3
    assert (cache / "model.bin").read_bytes() == CONTENT
    assert names(cache) == ["model.bin"]
