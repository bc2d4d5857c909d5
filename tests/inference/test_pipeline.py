from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from face_analysis.bulk import BLOCK, Summary
from face_analysis.datasets.sources import open_source
from face_analysis.errors import NoAnswerError, UnreadableImageError, UsageError
from face_analysis.images.chips import Chip, ChipMaker
from face_analysis.inference.attributes import AttributePredictor, open_models
from face_analysis.inference.embedder import EmbeddingModel, open_embedder
from face_analysis.inference.onnx_form import ModelInput
from face_analysis.inference.pipeline import ChipModel, FaceBlock, inputs
from face_analysis.types import AgeEstimate, Image, ImageFailure, Input, Photo
from tests.conftest import FACES_OF


class Squares(ChipMaker):
    """As many chips as the picture's first value says, each of that value."""

    def cut(self, image: Image, name: str) -> list[Chip]:
        return [Chip(np.full((2, 2, 3), number, np.uint8), None) for number in range(int(image[0, 0, 0]))]


class Counting:
    """Says of a chip the number of the batch and the chip's value; keeps the sizes of its batches."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def answers(self, chips: Sequence[Image]) -> list[Mapping[str, Any] | str]:
        if chips:
            self.batches.append(len(chips))
        return [{"age": AgeEstimate(float(chip[0, 0, 0]), len(self.batches))} for chip in chips]


def analyse(
    photos: Iterable[Input], model: ChipModel, batch_size: int = 96, workers: int = 2
) -> Iterator[Photo]:
    return FaceBlock(Squares(), (model,), batch_size, workers)(photos)


def photo(name: str, faces: int) -> Input:
    return Input(name, lambda: np.full((1, 1, 3), faces, np.uint8))


def unreadable(name: str) -> Input:
    def load() -> Image:
        raise UnreadableImageError(f"{name}: broken")

    return Input(name, load)


def some(count: int) -> list[Input]:
    return [unreadable(f"p{n}") if n % 11 == 3 else photo(f"p{n}", n * n % 5) for n in range(count)]


@pytest.mark.parametrize("workers", [0, 1, 4])
@pytest.mark.parametrize("batch_size", [1, 7, 96])
def test_photos_come_back_in_order_with_their_own_faces(workers: int, batch_size: int) -> None:
    given = list(analyse(some(300), Counting(), batch_size, workers))
    assert [found.path for found in given] == [f"p{n}" for n in range(300)]
    for number, found in enumerate(given):
        if number % 11 == 3:
            assert found.failure is not None
            assert found.failure.reason == f"p{number}: broken"
            assert found.faces == ()
        else:
            ages = [face.age.years for face in found.faces if face.age]
            assert ages == list(range(number * number % 5))


class SilentOnOdd(Counting):
    """Has no answer for chips of an odd value."""

    def answers(self, chips: Sequence[Image]) -> list[Mapping[str, Any] | str]:
        answers = super().answers(chips)
        return [
            "no answer" if chip[0, 0, 0] % 2 else answer for chip, answer in zip(chips, answers, strict=True)
        ]


@pytest.mark.parametrize("batch_size", [1, 7, 96])
def test_a_face_without_an_answer_is_left_out_and_its_photo_keeps_the_others(batch_size: int) -> None:
    found = list(analyse(some(60), SilentOnOdd(), batch_size))
    assert len(found) == 60
    for number, photo_ in enumerate(found):
        faces = 0 if number % 11 == 3 else number * number % 5
        assert [face.age.years for face in photo_.faces if face.age] == list(range(0, faces, 2))
        failure = photo_.failure
        if number % 11 == 3:
            assert failure is not None
            assert failure.kind == "unreadable"
        elif faces > 1:
            assert failure == (f"p{number}", f"p{number}: face 2 of {faces}: no answer", "no answer")
        else:
            assert failure is None


def test_a_run_is_refused_only_where_no_face_has_an_answer() -> None:
    silent, unread = ImageFailure("a", "a: no answer", "no answer"), ImageFailure("b", "b: broken")
    for faces, failures in ((1, [silent]), (2, [silent, silent]), (0, [unread]), (0, [])):
        Summary(3, faces, failures).check_answers()
    with pytest.raises(NoAnswerError, match="a: no answer"):
        Summary(2, 0, [unread, silent]).check_answers()


def test_photos_before_a_wrong_input_are_given_before_its_error() -> None:
    def load() -> Image:
        raise UsageError("no photo")

    coming = analyse([*some(5), Input("x", load), *some(5)], Counting(), 100)
    assert [next(coming).path for _ in range(5)] == [f"p{n}" for n in range(5)]
    with pytest.raises(UsageError, match="no photo"):
        next(coming)


def test_a_batch_fills_across_photos_and_ends_with_its_block() -> None:
    predictor = Counting()
    list(analyse((photo(str(n), 1) for n in range(BLOCK + 50)), predictor, 100, 2))
    assert predictor.batches == [100, 100, BLOCK - 200, 50]


def test_what_is_predicted_after_a_block_does_not_hang_on_what_came_before() -> None:
    photos = some(3 * BLOCK)
    whole, tail = Counting(), Counting()
    list(analyse(photos, whole, 30, 2))
    list(analyse(photos[BLOCK:], tail, 30, 2))
    assert whole.batches[-len(tail.batches) :] == tail.batches


def test_an_endless_row_of_photos_is_read_only_so_far_ahead() -> None:
    asked = 0

    def endless() -> Iterator[Input]:
        nonlocal asked
        while True:
            asked += 1
            yield photo(str(asked), 1)

    found = analyse(endless(), Counting(), 10, 2)
    for _ in range(25):
        next(found)
    assert asked <= 25 + 2 * 10
    found.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if "ThreadPool" in thread.name and asked == 0]


def test_threads_end_when_the_reader_goes_away() -> None:
    before = threading.active_count()
    cuts = FaceBlock(Squares(), (), 50, 4)(photo(str(n), 1) for n in range(1000))
    next(cuts)
    cuts.close()  # type: ignore[attr-defined]
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and "ThreadPool" in thread.name:
            thread.join(timeout=10)
    assert threading.active_count() <= before


def test_a_programming_error_in_a_thread_is_not_swallowed() -> None:
    def load() -> Image:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(analyse([Input("a", load)], Counting()))


def analysed_elsewhere(block: FaceBlock, folder: Path) -> list[Photo]:
    return list(block(inputs(open_source(folder, None))))


def test_the_block_function_gives_the_same_in_another_process(photos: Path) -> None:
    models = (
        AttributePredictor(open_models("attributes")),
        EmbeddingModel(open_embedder("sface", ModelInput())),
    )
    block = FaceBlock(ChipMaker.with_detector(), models, keep_chips=True)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        elsewhere = pool.submit(analysed_elsewhere, block, photos).result()
    assert elsewhere == analysed_elsewhere(block, photos)
    assert sum(len(photo.faces) for photo in elsewhere) == sum(FACES_OF.values())
    faces = [face for photo in elsewhere for face in photo.faces]
    assert all(face.age and face.embedding is not None and face.chip is not None for face in faces)
