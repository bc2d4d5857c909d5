from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from face_analysis.datasets.lists.image_list import ImageList, read_image_list
from face_analysis.datasets.lists.writers import write_image_list
from face_analysis.errors import WriteError

text = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
names = text.filter(lambda name: name.strip() and "\0" not in name)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(names, st.integers(-1, 100), names), min_size=1, max_size=6))
def test_a_list_is_read_back_as_it_was(tmp_path: Path, rows: list[tuple[str, int, str]]) -> None:
    images, ages, subjects = zip(*rows, strict=True)
    path = tmp_path / "list.csv"
    write_image_list(
        path, ImageList(path, list(images), {"age": np.array(ages)}, {"subject": list(subjects)})
    )
    listed = read_image_list(path)
    assert listed.images == list(images)
    assert listed.labels["age"].tolist() == list(ages)
    assert listed.strings == {"subject": list(subjects)}


def test_a_plain_list_is_a_plain_text_and_a_folder_in_its_place_an_error(tmp_path: Path) -> None:
    listed = ImageList(tmp_path, ["a b.jpg", "c,d.jpg"], {"race": np.array([0, -1])})
    write_image_list(tmp_path / "new/list.csv", listed)
    assert (tmp_path / "new/list.csv").read_bytes() == b'path,race\na b.jpg,0\n"c,d.jpg",-1\n'
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(WriteError, match=r"folder\.csv"):
        write_image_list(tmp_path / "folder.csv", listed)
