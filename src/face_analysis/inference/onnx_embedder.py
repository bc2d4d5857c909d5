"""ONNX networks of others as embedders: how each takes chips is read from it, or tried out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from face_analysis.errors import ModelMismatchError, UsageError
from face_analysis.images.decode import fit
from face_analysis.inference.embeddings import Embeddings
from face_analysis.inference.form import FormChoice, library_choice
from face_analysis.inference.onnx_form import (
    InputForm,
    ModelInput,
    NoEmbedderError,
    Pixels,
    choose_output,
    input_forms,
)
from face_analysis.inference.onnx_session import OnnxSession, RunError
from face_analysis.matching.features.feature_set import unit_rows

log = logging.getLogger(__name__)
AGREED = 0.01
"""By so much a number of an embedding may differ where its image is run beside another."""


class _Use(NamedTuple):
    """How a network is run: what it takes, and which output of how many numbers is the embedding."""

    form: InputForm
    output: str
    size: int


class OnnxEmbedder:
    """An ONNX file with one image input and an embedding among its outputs, run by onnxruntime.

    It may take uint8, float16, float32 or float64, NCHW or NHWC, square images of any size, and any number of
    images or a fixed one. Two images of noise are run to see which output is the embedding, and whether they
    can be run together. What the file is taken for goes to the log. Raises MissingPackageError, UsageError
    for an output or scaling that it does not have, and ModelMismatchError for a file that is no such network.
    """

    def __init__(self, path: Path, given: ModelInput, choice: FormChoice | None = None) -> None:
        self.path, self.given = path, given
        choice = choice or library_choice()
        self.form = choice.own_form(str(path))
        self._session = OnnxSession(path, choice.asked.device, self.form.threads)
        try:
            self._use = self._tried(input_forms(self._session.inputs()))
            self._use.form.check(given)
        except (NoEmbedderError, RunError) as error:
            raise ModelMismatchError(
                f"{path}: not an ONNX network from chips to embeddings: {error}"
            ) from error
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from None
        self.size, self.side = self._use.size, self._use.form.side
        log.info("%s: %s", path, self._assumed())

    def embed(self, chips: Pixels) -> Embeddings:
        """RGB (N, H, W, 3), scaled where the network takes another size -> (N, size), as `Embedder.embed`."""
        step = self._use.form.batch or len(chips)
        parts = [chips[start : start + step] for start in range(0, len(chips), step)]
        try:
            return np.concatenate([self._rows(self._use, part) for part in parts])
        except RunError as error:
            raise ModelMismatchError(f"{self.path}: cannot run on {step} images: {error}") from error

    def _tried(self, forms: Sequence[InputForm]) -> _Use:
        """The use of the first form that the network runs on. Raises NoEmbedderError, RunError."""
        reasons: list[Exception] = []
        for form in forms:
            try:
                return self._chosen(form) if form.batch else self._together_or_alone(form)
            except (NoEmbedderError, RunError) as error:
                reasons.append(error)
        raise reasons[0]

    def _together_or_alone(self, form: InputForm) -> _Use:
        """The use of a network that says it takes any number of images, and may not."""
        try:
            use = self._chosen(form)
        except (NoEmbedderError, RunError):
            return self._fixed_inside(form)
        images, alone = _noise(form.side), use._replace(form=replace(form, batch=1))
        try:
            separate = np.concatenate([self._rows(alone, image[None]) for image in images])
        except RunError:
            return use._replace(form=replace(form, batch=len(images)))
        close = np.allclose(self._rows(use, images), separate, rtol=0, atol=AGREED, equal_nan=True)
        return use if close else alone

    def _fixed_inside(self, form: InputForm) -> _Use:
        """The use of a network that takes one image at a time, or as many as its outputs say."""
        try:
            return self._chosen(replace(form, batch=1))
        except (NoEmbedderError, RunError):
            for output in self._session.outputs():
                if output.shape and isinstance(output.shape[0], int) and output.shape[0] > 1:
                    return self._chosen(replace(form, batch=output.shape[0]))
            raise

    def _chosen(self, form: InputForm) -> _Use:
        """The use of a form, by what the network gives for images of noise."""
        names = [one.name for one in self._session.outputs() if one.type.startswith("tensor(")]
        images = _noise(form.side)[: form.batch]
        answers = dict(zip(names, self._answers(form, names, images), strict=True))
        return _Use(form, *choose_output(answers, form.batch or len(images), self.given.output))

    def _rows(self, use: _Use, chips: Pixels) -> Embeddings:
        (values,) = self._answers(use.form, [use.output], chips)
        if values.size != use.size * (use.form.batch or len(chips)):
            raise RunError(f"its output `{use.output}` has the shape {list(values.shape)}")
        return unit_rows(values.reshape(-1, use.size)[: len(chips)])

    def _answers(self, form: InputForm, names: Sequence[str], chips: Pixels) -> list[Any]:
        """These outputs for the chips, and for copies of the last one that fill up a fixed batch."""
        missing = (form.batch or len(chips)) - len(chips)
        images = np.stack([fit(chip, form.side) for chip in (*chips, *chips[-1:].repeat(missing, axis=0))])
        return self._session.run(names, {form.name: form.values(images, self.given)})

    def _assumed(self) -> str:
        form, output, size = self._use
        together = {None: "", 1: ", one at a time"}.get(form.batch, f", {form.batch} at a time")
        return (
            f"taken for a network of {form.text(self.given)}{together}, whose output `{output}` is "
            f"the embedding of {size} numbers; give --colour, --mean, --scale or --output where that is wrong"
        )


def _noise(side: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (2, side, side, 3), np.uint8)
