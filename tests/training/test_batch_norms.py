"""Batch norms of several processes that do not share their statistics: each sees the images it has."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning_fabric import seed_everything

from face_analysis.datasets.faces import FaceDataset
from face_analysis.datasets.samplers import GlobalBatches
from face_analysis.datasets.sources import open_source
from face_analysis.images.normalise import normalise
from face_analysis.losses.ordinal import expected_age
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.training.options import TrainOptions
from face_analysis.training.plan import new_network
from face_analysis.training.tasks.attributes import AttributeTask
from tests.training.runs import column, saved
from tests.training.test_several_processes import run_command

pytestmark = pytest.mark.slow
WORDS = "-a age --dropout 0 --lr 0.01"


@pytest.mark.usefixtures("full_size")
def test_a_process_normalises_by_its_own_images_and_the_averages_of_the_first_count(
    few: Path, tmp_path: Path
) -> None:
    """One step of 24 images in two processes, against a pass of the first one's 12 by hand."""
    run_command(f"{WORDS} -b 24 -t {few} -v {few} -o {tmp_path} -e 1", processes=2)
    options = TrainOptions(("age",), depth=18, width=0.125, embedding_size=32, dropout=0.0)
    seed_everything(0, verbose=False)
    network = new_network(options)
    assert isinstance(network, AttributeNetwork)
    task = AttributeTask(network, {}, options, str, 1).double()
    data = FaceDataset(open_source(None, few, "age"), ("age",))
    (first,) = GlobalBatches(24, 24, shuffle=True, rank=0, world=2)
    network.train()(task.augmented(data.__getitems__(first)))
    state = saved(tmp_path)["state_dict"]
    averages = {name: value for name, value in network.state_dict().items() if "running" in name}
    assert len(averages) > 40
    for name, value in averages.items():
        torch.testing.assert_close(state[f"network.{name}"], value, rtol=1e-9, atol=1e-9)

    network.load_state_dict({name.removeprefix("network."): value for name, value in state.items()})
    everyone = data.__getitems__(range(24))
    with torch.no_grad():
        ages = expected_age(network.eval()(normalise(everyone.images).double())["age"])
    error = (ages - everyone.labels[:, 0]).abs().mean().item()
    assert column(tmp_path, "val_age_mae") == pytest.approx([error], rel=1e-6)


def test_a_process_with_one_readable_image_takes_no_part_in_spoiling_the_weights(
    few: Path, tmp_path: Path
) -> None:
    """Batches of four, two a process, of which most cannot be read: a batch norm would see one or none."""
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff")
    listed = tmp_path / "list.txt"
    good = few.read_text().splitlines()[:8]
    listed.write_text("".join(f"{line}\n" for line in [*good, *[f"{broken} 1 1 30"] * 16]))
    run_command(f"{WORDS} -b 4 -t {listed} -v {few} -o {tmp_path}/run -e 2", processes=2, code=1)
    weights = saved(tmp_path / "run")["state_dict"].values()
    assert all(torch.isfinite(value).all() for value in weights)
