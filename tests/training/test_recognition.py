from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from face_analysis.datasets.lists.image_list import read_image_list
from face_analysis.datasets.pack import pack
from face_analysis.datasets.pairs.sets import open_pairs
from face_analysis.datasets.sources import FolderSource
from face_analysis.errors import EmptyDataError, MissingFileError, ModelMismatchError, UsageError
from face_analysis.inference.embedder import TorchEmbedder, WithMirror
from face_analysis.inference.verify import verify_set
from face_analysis.models.layers import Backbone
from face_analysis.models.weights import load_recognition
from face_analysis.training.finish import finish_recognition
from face_analysis.training.options import TrainOptions
from face_analysis.training.run import train
from face_analysis.training.tasks.heads import HEADS
from face_analysis.training.tasks.recognition import RecognitionTask
from tests.datasets.record_files import labelled, write_records
from tests.training.runs import column, losses, rows, same, saved_weights

MakeOptions = Callable[..., TrainOptions]


@pytest.mark.usefixtures("full_size")
def test_a_run_leaves_a_model_that_verifies_as_it_says(recognition: MakeOptions, tmp_path: Path) -> None:
    run = train(recognition(epochs=1, lr=0.1))
    reports = finish_recognition(run)
    loaded = load_recognition(tmp_path / "run" / "model.safetensors")
    assert [report.name for report in reports] == ["one", "two"]
    for report in reports:
        again = verify_set(
            open_pairs(run.options.val_source / report.name),  # type: ignore[operator]
            WithMirror(TorchEmbedder(loaded.network)),
            run.failures,
        )
        assert again.to_dict() == report.to_dict()
        assert loaded.card.metrics[report.name] == report.to_dict()


def test_the_logged_accuracies_are_those_of_a_plain_loop(recognition: MakeOptions, tmp_path: Path) -> None:
    run = train(recognition(epochs=1, lr=0.1))
    assert isinstance(run.network, Backbone)
    logged = rows(tmp_path / "run")[-1]
    for name in ("one", "two"):
        pair_set = open_pairs(run.options.val_source / name)  # type: ignore[operator]
        images = torch.from_numpy(np.array(pair_set.images)).permute(0, 3, 1, 2) / 127.5 - 1
        with torch.inference_mode():
            both = torch.nn.functional.normalize(run.network(images) + run.network(images.flip(3)))
        right = []
        scores = [
            float(both[a] @ both[b]) for a, b in zip(pair_set.pairs.first, pair_set.pairs.second, strict=True)
        ]
        same, fold = pair_set.pairs.same, pair_set.pairs.fold
        for one in sorted(set(fold.tolist())):
            others = [place for place in range(len(scores)) if fold[place] != one]
            candidates = [*sorted({scores[place] for place in others}), math.inf]
            errors = [sum((scores[p] >= t) != same[p] for p in others) for t in candidates]
            threshold = candidates[errors.index(min(errors))]
            own = [place for place in range(len(scores)) if fold[place] == one]
            right.append(np.mean([(scores[p] >= threshold) == same[p] for p in own]))
        assert float(logged[f"val_{name}_accuracy"]) == pytest.approx(np.mean(right), abs=1e-6)
    measures = [float(logged[f"val_{name}_accuracy"]) for name in ("one", "two")]
    assert float(logged["val_score"]) == pytest.approx(np.mean(measures))


@pytest.mark.parametrize("head", HEADS)
def test_every_head_learns_to_tell_the_kinds_apart(
    recognition: MakeOptions, tmp_path: Path, head: str
) -> None:
    scale = {} if head == "adacos" else {"scale": 16.0}
    train(recognition(head=head, epochs=8, lr=0.1, margin_warmup=8, **scale))
    cosines = column(tmp_path / "run", "target_cosine")
    assert len(cosines) == 40
    assert np.mean(cosines[-5:]) > np.mean(cosines[:5]) + 0.05


def test_the_first_loss_is_that_of_a_straight_line(
    recognition: MakeOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ArcFace by its formula, over class weights read from the task itself, on the images it saw."""
    expected = []
    step = RecognitionTask.loss

    def watched(self: RecognitionTask, batch: object) -> torch.Tensor:
        if self.at.step == 0:
            images = self.augmented(batch)  # type: ignore[arg-type]
            with torch.no_grad():
                found = self.network(images).double()
            weights = torch.nn.functional.normalize(self.class_weights.weights[:, 0].double())
            total = 0.0
            for row, label in zip(found, batch.labels[:, 0].tolist(), strict=True):  # type: ignore[attr-defined]
                cosines = (weights @ row).tolist()
                cosines[label] = math.cos(math.acos(cosines[label]) + 0.5)
                total += math.log(sum(math.exp(64 * c) for c in cosines)) - 64 * cosines[label]
            expected.append(total / len(found))
        return step(self, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(RecognitionTask, "loss", watched)
    train(recognition(epochs=1))
    assert losses(tmp_path / "run")[0] == pytest.approx(expected[0], rel=1e-4)


def test_the_margin_rises_over_its_warm_up(recognition: MakeOptions, tmp_path: Path) -> None:
    train(recognition(head="cosface", margin_warmup=1.0))
    margins = column(tmp_path / "run", "margin")
    assert margins == pytest.approx([0.35 * min(1, step / 5) for step in range(10)])
    assert HEADS["cosface"].published_margin == 0.35


def test_lists_folders_and_packed_files_train_to_the_same_weights(
    recognition: MakeOptions, people: Path, tmp_path: Path
) -> None:
    source = FolderSource(read_image_list(people))
    pack(source, tmp_path / "people.lmdb", "recognition")
    labels = source.labels["class"]
    write_records(
        tmp_path / "people.rec",
        [labelled(source.read(row), float(label)) for row, label in enumerate(labels)],
    )
    for row, label in enumerate(labels):
        folder = tmp_path / "people" / f"{label:02d}"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(source.name(row), folder / f"{row:03d}.jpg")
    train(recognition(epochs=1))
    listed = saved_weights(tmp_path / "run")
    for packed in ("people.lmdb", "people.rec"):
        train(
            recognition(
                epochs=1, train_list=None, train_source=tmp_path / packed, output=tmp_path / f"run {packed}"
            )
        )
        assert same(saved_weights(tmp_path / f"run {packed}"), listed)
    train(
        recognition(epochs=1, train_list=None, train_source=tmp_path / "people", output=tmp_path / "folders")
    )
    assert saved_weights(tmp_path / "folders")["centres"].shape == listed["centres"].shape


@pytest.mark.parametrize(
    "changes",
    [{}, {"sample_rate": 0.5}, {"head": "adacos"}, {"head": "adaface", "ema": 0.9}, {"accumulate": 3}],
)
def test_a_resumed_run_ends_as_an_undisturbed_one(
    recognition: MakeOptions, tmp_path: Path, changes: dict[str, object]
) -> None:
    train(recognition(epochs=2, output=tmp_path / "whole", **changes))
    train(recognition(epochs=1, **changes))
    train(recognition(epochs=2, resume=tmp_path / "run", **changes))
    assert same(saved_weights(tmp_path / "run"), saved_weights(tmp_path / "whole"))
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")


def test_images_of_each_person_come_together(
    recognition: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[int]] = []
    step = RecognitionTask.loss

    def watched(self: RecognitionTask, batch: object) -> torch.Tensor:
        seen.append(batch.labels[:, 0].tolist())  # type: ignore[attr-defined]
        return step(self, batch)  # type: ignore[arg-type]

    monkeypatch.setattr(RecognitionTask, "loss", watched)
    train(recognition(images_per_person=3, epochs=1))
    assert all(sorted(map(labels.count, set(labels))) == [3, 3, 3] for labels in seen)


def test_the_list_of_sets_may_be_written_as_in_python(
    recognition: MakeOptions, sets: Path, tmp_path: Path
) -> None:
    shutil.copytree(sets / "one", tmp_path / "sets" / "cfp_fp")
    shutil.copytree(sets / "two", tmp_path / "sets" / "agedb_30")
    run = train(recognition(epochs=1, val_source=tmp_path / "sets", val_list=("[cpf_fp,", "agedb_30]")))
    assert {"val_cfp_fp_accuracy", "val_agedb_30_accuracy"} <= set(rows(run.folder.path)[0])


def test_a_broken_image_is_recorded_and_the_rest_learnt(
    recognition: MakeOptions, people: Path, tmp_path: Path
) -> None:
    listed = tmp_path / "list.txt"
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    listed.write_text(people.read_text() + f"{tmp_path}/cut.jpg 3\n")
    run = train(recognition(epochs=1, train_list=listed))
    assert run.failures.seen == {f"{tmp_path}/cut.jpg"}


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"sample_rate": 0.0}, UsageError, "--sample_rate"),
        ({"head": "adacos", "sample_rate": 0.5}, UsageError, "adacos"),
        ({"precision": "bf16-true"}, UsageError, "--precision bf16-true"),
        ({"images_per_person": 2}, UsageError, "--images_per_person 2"),
        ({"accumulate": 2}, UsageError, "--accumulate 2"),
        ({"num_classes": 3}, UsageError, "--num_classes 3"),
        ({"val_list": ()}, UsageError, "--val_list"),
        ({"val_list": ("three",)}, MissingFileError, "three"),
        ({"balance": "age"}, UsageError, "--balance"),
    ],
)
def test_wrong_options_are_named(
    recognition: MakeOptions, changes: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        train(recognition(**changes))


def test_one_person_alone_is_refused(recognition: MakeOptions, people: Path, tmp_path: Path) -> None:
    listed = tmp_path / "one.txt"
    listed.write_text("".join(f"{line.split()[0]} 4\n" for line in people.read_text().splitlines()))
    with pytest.raises(EmptyDataError, match="one person only"):
        train(recognition(train_list=listed))


def test_another_head_cannot_take_up_a_run(recognition: MakeOptions, tmp_path: Path) -> None:
    train(recognition(epochs=1))
    with pytest.raises(ModelMismatchError, match="cosface"):
        train(recognition(head="cosface", resume=tmp_path / "run"))


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
def test_two_hundred_steps_in_bfloat16_stay_finite(
    recognition: MakeOptions, tmp_path: Path, head: str
) -> None:
    run = train(recognition(head=head, epochs=40, lr=0.1, precision="bf16-mixed"))
    assert len(losses(tmp_path / "run")) == 200
    assert np.isfinite(losses(tmp_path / "run")).all()
    assert all(tensor.isfinite().all() for tensor in run.network.state_dict().values())
