"""Packing with a folder of face masks, beside a straight-line loop over SciPy's filter."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from face_analysis.datasets.encoding import Encoding
from face_analysis.datasets.faces import FaceDataset
from face_analysis.datasets.pack import PackSettings, pack
from face_analysis.datasets.sources import open_source
from face_analysis.errors import EmptyDataError, MissingFileError, UnreadableImageError, UsageError
from face_analysis.images.chips import ChipMaker
from face_analysis.parallel import in_order
from tests.images.mask_loops import codes_of, loop_by_level, loop_by_weight, picture, png

Reader = Callable[[Path], tuple[list[list[Any]], int]]
NAMES = {"a/one.png": (112, 112), "a/b/two.jpeg": (90, 61), "three.v2.png": (64, 64)}


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """A folder with `images`, `masks` and `list.txt`: two PNGs and a JPEG."""
    for name, shape in NAMES.items():
        image = tmp_path / "images" / name
        mask = tmp_path / "masks" / Path(name).parent / f"{Path(name).stem}_mask.png"
        for path in (image, mask):
            path.parent.mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(picture(*shape)).save(image, quality=95)
        mask.write_bytes(png(codes_of(*shape)))
    (tmp_path / "list.txt").write_text("".join(f"{name} 0 1 {30 + row}\n" for row, name in enumerate(NAMES)))
    return tmp_path


def pixels(encoded: bytes) -> np.ndarray:
    with Pillow.open(io.BytesIO(encoded)) as image:
        return np.asarray(image.convert("RGB"))


def test_pictures_are_stored_blurred_outside_the_face(faces: Path, read_plainly: Reader) -> None:
    source = open_source(faces / "images", faces / "list.txt")
    report = pack(source, faces / "p.lmdb", "age", PackSettings(masks=faces / "masks"))
    assert (report.written, report.failures) == (3, [])
    records, classes = read_plainly(faces / "p.lmdb")
    assert [record[1:] for record in records] == [[30], [31], [32]]  # no mask: training must not blur again
    assert classes == 32
    for (name, shape), (image, _) in zip(NAMES.items(), records, strict=True):
        sharp = pixels((faces / "images" / name).read_bytes())
        difference = np.abs(loop_by_weight(sharp, codes_of(*shape), float) - pixels(image))
        if name.endswith("png"):
            assert difference.max() < 1.01
        else:
            assert image.startswith(b"\xff\xd8")
            assert difference.mean() < 6  # noise as JPEG
            assert difference.mean() < np.abs(sharp.astype(int) - pixels(image)).mean() / 4


def test_masks_that_are_kept_give_what_training_blurs(faces: Path, read_plainly: Reader) -> None:
    source = open_source(faces / "images", faces / "list.txt")
    pack(source, faces / "p.lmdb", "age", PackSettings(masks=faces / "masks", keep_masks=True))
    records, _ = read_plainly(faces / "p.lmdb")
    assert [record[0] for record in records] == [(faces / "images" / name).read_bytes() for name in NAMES]
    packed = open_source(faces / "p.lmdb", None)
    seen = FaceDataset(packed, ["age"], use_mask=True)[0].images[0].permute(1, 2, 0).numpy()
    assert np.abs(loop_by_level(picture(112, 112), codes_of(112, 112), float) - seen).max() < 1.01
    pack(packed, faces / "again.lmdb", "age")
    assert read_plainly(faces / "again.lmdb")[0] == records


def test_a_picture_is_blurred_at_its_own_size_before_it_is_resized(faces: Path, read_plainly: Reader) -> None:
    settings = PackSettings(Encoding(ChipMaker(size=32), 100), masks=faces / "masks")
    pack(open_source(faces / "images", faces / "list.txt"), faces / "p.lmdb", "age", settings)
    small = pixels(read_plainly(faces / "p.lmdb")[0][2][0])
    blurred = loop_by_weight(picture(64, 64), codes_of(64, 64), float)
    means = blurred.reshape(32, 2, 32, 2, 3).mean((1, 3))
    assert small.shape == (32, 32, 3)
    resized = picture(64, 64).reshape(32, 2, 32, 2, 3).mean((1, 3)).astype(np.uint8)
    otherwise = loop_by_weight(resized, codes_of(64, 64)[::2, ::2], float)
    assert np.abs(means - small).mean() < np.abs(means - otherwise).mean() / 3


def test_a_missing_or_wrong_mask_leaves_its_picture_out_and_is_named(
    faces: Path, read_plainly: Reader
) -> None:
    (faces / "masks" / "a" / "one_mask.png").unlink()
    (faces / "masks" / "three.v2_mask.png").write_bytes(png(codes_of(64, 30)))
    source = open_source(faces / "images", faces / "list.txt")
    for keep in (False, True):
        settings = PackSettings(masks=faces / "masks", keep_masks=keep)
        report = pack(source, faces / "p.lmdb", "age", settings)
        assert [failure.path for failure in report.failures] == ["a/one.png", "three.v2.png"]
        assert "one_mask.png: No such file" in report.failures[0].reason
        assert "30x64 pixels, the picture 64x64" in report.failures[1].reason
        assert [record[1] for record in read_plainly(faces / "p.lmdb")[0]] == [31]
    with pytest.raises(UnreadableImageError, match=r"one_mask\.png.*nothing was packed"):
        pack(source, faces / "q.lmdb", "age", PackSettings(strict=True, masks=faces / "masks"))
    (faces / "masks" / "a" / "b" / "two_mask.png").unlink()
    with pytest.raises(EmptyDataError, match="no image is left"):
        pack(source, faces / "q.lmdb", "age", PackSettings(masks=faces / "masks"))
    with pytest.raises(MissingFileError, match="masks"):
        pack(source, faces / "q.lmdb", "age", PackSettings(masks=faces / "none"))


def test_a_pack_is_not_resumed_with_other_masks(faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_source(faces / "images", faces / "list.txt")
    monkeypatch.setattr("face_analysis.datasets.lmdb.writer.BATCH_RECORDS", 1)
    monkeypatch.setattr("face_analysis.datasets.pack.tqdm", Interrupted)
    monkeypatch.setattr("face_analysis.datasets.pack.in_order_by_processes", in_order)  # none keeps the lock
    with pytest.raises(KeyboardInterrupt):
        pack(source, faces / "p.lmdb", "age", PackSettings(masks=faces / "masks"))
    for settings in (
        PackSettings(resume=True),
        PackSettings(resume=True, masks=faces / "masks", keep_masks=True),
        PackSettings(resume=True, masks=faces / "images"),
    ):
        with pytest.raises(UsageError, match="begun with other"):
            pack(source, faces / "p.lmdb", "age", settings)


class Interrupted:
    """A bar after whose first image Ctrl-C is pressed."""

    def __init__(self, rows: list[int], **_: Any) -> None:
        self.rows = rows

    def __iter__(self) -> Any:
        yield self.rows[0]
        raise KeyboardInterrupt
