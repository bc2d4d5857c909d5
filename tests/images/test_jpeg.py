"""JPEGs that break a rule are read where nothing is missing; those that miss pixels are refused."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image as Pillow

from face_analysis.errors import UnreadableImageError
from face_analysis.images.decode import check, decode

START = b"\xff\xda"
RESTART = re.compile(rb"\xff[\xd0-\xd7]")


def photo(**options: object) -> bytes:
    y, x = np.mgrid[:120, :168]
    texture = np.random.default_rng(0).integers(0, 60, (120, 168))
    pixels = np.stack([x + texture // 2, y + texture, (x + y) // 2], -1).astype(np.uint8)
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "JPEG", quality=88, **options)
    return buffer.getvalue()


def by_pillow(data: bytes) -> np.ndarray:
    with Pillow.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def bits_begin(data: bytes) -> int:
    at = data.find(START)
    return int(at + 2 + struct.unpack_from(">H", data, at + 2)[0])


def zero_scan_parameters(data: bytes) -> bytes:
    at = bits_begin(data)
    return data[: at - 3] + b"\0\0\0" + data[at:]


def stray_bytes_at_the_end(data: bytes) -> bytes:
    return data[:-2] + b"\x12\x34\x56" + data[-2:]


def stray_bytes_between_segments(data: bytes) -> bytes:
    at = data.find(b"\xff\xc4")
    return data[:at] + b"\0\0\0" + data[at:]


def stray_bytes_before_a_restart(data: bytes) -> bytes:
    at = [match.start() for match in RESTART.finditer(data, bits_begin(data))][2]
    return data[:at] + b"\x12\x34\x56\x78" + data[at:]


def without_an_end(data: bytes) -> bytes:
    return data[:-2]


def with_something_behind(data: bytes) -> bytes:
    return data + b"ftypmp42" + START * 300 + bytes(5000)


def wrong_restart_number(by: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        at = [match.start() for match in RESTART.finditer(data, bits_begin(data))][2] + 1
        return data[:at] + bytes((0xD0 + (data[at] + by) % 8,)) + data[at + 1 :]

    return change


def all_restarts_alike(data: bytes) -> bytes:
    at = bits_begin(data)
    return data[:at] + RESTART.sub(b"\xff\xd0", data[at:])


RESTARTS = {"restart_marker_rows": 1}
FAULTS = [
    pytest.param(zero_scan_parameters, {}, id="scan parameters of Samsung phones"),
    pytest.param(zero_scan_parameters, RESTARTS, id="the same with restarts"),
    pytest.param(stray_bytes_at_the_end, {}, id="stray bytes at the end"),
    pytest.param(stray_bytes_between_segments, {}, id="stray bytes between segments"),
    pytest.param(stray_bytes_before_a_restart, RESTARTS, id="stray bytes before a restart"),
    pytest.param(stray_bytes_at_the_end, {"progressive": True}, id="stray bytes at the end, progressive"),
    pytest.param(without_an_end, {}, id="without an end"),
    pytest.param(with_something_behind, {}, id="something behind"),
    pytest.param(wrong_restart_number(4), RESTARTS, id="a restart number far off"),
    pytest.param(wrong_restart_number(1), RESTARTS, id="the next restart number"),
    pytest.param(all_restarts_alike, RESTARTS, id="all restarts alike"),
]


@pytest.mark.parametrize(("fault", "options"), FAULTS)
def test_a_jpeg_that_breaks_a_rule_has_the_pixels_of_the_right_one(
    fault: Callable[[bytes], bytes], options: dict[str, object]
) -> None:
    right = photo(**options)
    wrong = fault(right)
    assert wrong != right
    np.testing.assert_array_equal(decode(wrong, "wrong"), decode(right, "right"))
    check(wrong, "wrong")


@pytest.mark.parametrize(
    ("fault", "options"),
    [*FAULTS[:5], pytest.param(wrong_restart_number(4), RESTARTS, id="a restart number")],
)
def test_what_breaks_a_rule_is_read_as_pillow_reads_it(
    fault: Callable[[bytes], bytes], options: dict[str, object]
) -> None:
    wrong = fault(photo(**options))
    assert np.abs(decode(wrong, "wrong") - by_pillow(wrong)).max() <= 1


@pytest.mark.parametrize(("fault", "options"), FAULTS)
@pytest.mark.parametrize("part", [0.5, 0.8, 0.95])
def test_a_jpeg_that_breaks_a_rule_and_is_cut_is_refused(
    fault: Callable[[bytes], bytes], options: dict[str, object], part: float
) -> None:
    right = photo(**options)
    start = bits_begin(right)
    cut = right[: start + int((len(right) - start) * part)]
    if fault in (zero_scan_parameters, stray_bytes_between_segments):
        cut = fault(cut)
    with pytest.raises(UnreadableImageError, match=r"cut\.jpg: broken JPEG"):
        decode(cut, "cut.jpg")
    with pytest.raises(UnreadableImageError, match=r"cut\.jpg: broken JPEG"):
        decode(fault(cut + b"\xff\xd9"), "cut.jpg")


def test_bytes_missing_in_the_middle_are_noticed_behind_wrong_scan_parameters() -> None:
    right = photo(restart_marker_rows=1)
    marks = [match.start() for match in RESTART.finditer(right, bits_begin(right))]
    # The second half of one part between restarts is gone.
    holed = right[: (marks[2] + marks[3]) // 2] + right[marks[3] :]
    for data in (holed, zero_scan_parameters(holed), right[: marks[2]] + right[marks[3] :]):
        with pytest.raises(UnreadableImageError, match="broken JPEG"):
            decode(data, "holed")


def test_a_progressive_jpeg_that_ends_between_two_scans_is_refused() -> None:
    data = photo(progressive=True)
    for at in [match.start() for match in re.finditer(START, data)][1:]:
        with pytest.raises(UnreadableImageError, match="broken JPEG"):
            decode(data[:at], "cut")


def test_more_scans_than_any_encoder_writes_are_refused() -> None:
    data = photo(progressive=True)
    scans = [match.start() for match in re.finditer(START, data)]
    last = data[scans[-1] : -2]
    with pytest.raises(UnreadableImageError, match="scans in one JPEG are more than the limit"):
        decode(data[:-2] + last * 120 + data[-2:], "many")
