from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from face_analysis.errors import UsageError
from face_analysis.machine import Form
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.backbone import build_backbone
from face_analysis.models.layers import scaled_channels, unit_norm
from face_analysis.models.precision import for_inference
from face_analysis.zoo.card import BackboneConfig

CPU = torch.device("cpu")


def parameters(config: BackboneConfig) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build_backbone(config).parameters())


def smooth_images(count: int) -> torch.Tensor:
    coarse = torch.rand(count, 3, 7, 7) * 2 - 1
    return F.interpolate(coarse, size=112, mode="bicubic").clamp(-1, 1)


def warm(network: nn.Module) -> None:
    """Give the batch norms the statistics of smooth images, so that embeddings differ between images."""
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.momentum = 0.5
    with torch.no_grad():
        for _ in range(5):
            network.train()(smooth_images(8))
    network.eval()


@pytest.mark.parametrize(
    "config",
    [
        BackboneConfig("iresnet", 18, "ir", width=0.25),
        BackboneConfig("iresnet", 50, "ir_se", width=0.125),
        BackboneConfig("iresnet", 152, "ir", width=0.125),
        BackboneConfig("iresnet", 34, "ir_se", width=0.5),
        BackboneConfig("mobilefacenet", width=1.0),
        BackboneConfig("mobilefacenet", width=0.25, embedding_size=64),
    ],
    ids=str,
)
@pytest.mark.parametrize("training", [True, False])
def test_fresh_network_starts_at_the_loss_of_chance(config: BackboneConfig, training: bool) -> None:
    torch.manual_seed(3)
    network = AttributeNetwork(config, ("race", "gender", "age")).train(training)
    images = torch.rand(8, 3, 112, 112) * 2 - 1
    with torch.no_grad():
        logits = network(images)
        norms = network.backbone(images).norm(dim=1)
    ages = torch.arange(8) * 13
    tasks = (ages[:, None] > torch.arange(100)).float()
    age_loss = F.binary_cross_entropy_with_logits(logits["age"], tasks, reduction="none").sum(1).mean()
    torch.testing.assert_close(norms, torch.ones(8))
    assert F.cross_entropy(logits["race"], torch.arange(8) % 5).item() == pytest.approx(math.log(5), rel=0.01)
    assert F.cross_entropy(logits["gender"], torch.arange(8) % 2).item() == pytest.approx(
        math.log(2), rel=0.01
    )
    assert age_loss.item() == pytest.approx(100 * math.log(2), rel=0.01)


def iresnet_parameters(units: tuple[int, ...], widths: tuple[int, ...], squeeze: bool) -> int:
    total, inputs = 3 * widths[0] * 9 + 3 * widths[0], widths[0]
    for channels, count in zip(widths, units, strict=True):
        total += inputs * channels + 2 * channels
        for _ in range(count):
            total += (
                2 * inputs + 9 * inputs * channels + 2 * channels + channels + 9 * channels**2 + 2 * channels
            )
            total += 2 * channels * max(channels // 16, 4) if squeeze else 0
            inputs = channels
    return total + 2 * inputs + inputs * 49 * 512 + 512 + 2 * 512


@pytest.mark.parametrize(
    ("depth", "mode", "width", "units", "widths"),
    [
        (18, "ir", 1.0, (2, 2, 2, 2), (64, 128, 256, 512)),
        (34, "ir_se", 0.5, (3, 4, 6, 3), (32, 64, 128, 256)),
        (50, "ir_se", 1.0, (3, 4, 14, 3), (64, 128, 256, 512)),
        (50, "ir", 0.2, (3, 4, 14, 3), (16, 24, 48, 104)),
        (100, "ir_se", 0.01, (3, 13, 30, 3), (16, 16, 16, 16)),
    ],
)
def test_iresnet_has_the_parameters_counted_by_hand(
    depth: int, mode: str, width: float, units: tuple[int, ...], widths: tuple[int, ...]
) -> None:
    expected = iresnet_parameters(units, widths, mode == "ir_se")
    assert parameters(BackboneConfig("iresnet", depth, mode, width)) == expected


def test_ir_se_50_has_its_published_size() -> None:
    assert parameters(BackboneConfig("iresnet", 50, "ir_se")) / 1e6 == pytest.approx(43.8, abs=0.05)


def mobilefacenet_weights_and_norms() -> tuple[int, int, int]:
    """Convolution weights, PReLU slopes and normalised channels of Table 1 with an embedding of 128."""
    rows = [(64, 64, 2)] * 5 + [(64, 128, 4)] + [(128, 128, 2)] * 6 + [(128, 128, 4)] + [(128, 128, 2)] * 2
    convolutions = 3 * 64 * 9 + 64 * 9
    slopes, channels = 64 + 64, 64 + 64
    for inputs, outputs, expansion in rows:
        hidden = inputs * expansion
        convolutions += inputs * hidden + 9 * hidden + hidden * outputs
        slopes += 2 * hidden
        channels += 2 * hidden + outputs
    return convolutions + 128 * 512 + 512 * 49 + 512 * 128, slopes + 512, channels + 512 + 512 + 128


def test_mobilefacenet_has_the_size_of_its_paper() -> None:
    convolutions, slopes, channels = mobilefacenet_weights_and_norms()
    count = parameters(BackboneConfig("mobilefacenet", embedding_size=128))
    assert count == convolutions + slopes + 2 * channels
    # The paper's 0.99 million counts a batch norm folded into its convolution: one bias a channel is left.
    assert (count - channels) / 1e6 == pytest.approx(0.99, abs=0.005)


def test_mobilefacenet_downsamples_as_in_table_1() -> None:
    network = build_backbone(BackboneConfig("mobilefacenet")).eval()
    sizes = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda _, __, output: sizes.append(output.shape[-1]))
    with torch.no_grad():
        network(torch.zeros(1, 3, 112, 112))
    in_order = [size for index, size in enumerate(sizes) if index == 0 or size != sizes[index - 1]]
    assert in_order == [56, 28, 14, 7, 1]


def test_widths_are_multiples_of_eight_and_at_least_sixteen() -> None:
    assert [scaled_channels(64, width) for width in (1, 0.5, 0.3, 0.01, 1.1)] == [64, 32, 16, 16, 72]


def test_zero_vector_has_no_length_and_no_nan() -> None:
    vectors = torch.tensor([[0.0, 0.0], [3.0, 4.0]], requires_grad=True)
    output = unit_norm(vectors)
    output.sum().backward()
    assert torch.equal(output, torch.tensor([[0.0, 0.0], [0.6, 0.8]]))
    assert vectors.grad is not None
    assert vectors.grad.isfinite().all()


def test_all_black_and_all_white_images_give_finite_logits_in_bf16() -> None:
    network = AttributeNetwork(BackboneConfig("iresnet", 18, "ir", width=0.125), ("age",)).eval()
    images = torch.stack([torch.full((3, 112, 112), -1.0), torch.ones(3, 112, 112)])
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        logits = network(images)["age"]
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()


@pytest.mark.parametrize(
    ("wrong", "allowed"),
    [
        (BackboneConfig("vgg"), "iresnet, mobilefacenet"),  # type: ignore[arg-type]
        (BackboneConfig(depth=51), "18, 34, 50, 100, 152"),
        (BackboneConfig(mode="se"), "ir, ir_se"),
        (BackboneConfig(width=0), "over 0"),
        (BackboneConfig(width=float("nan")), "over 0"),
        (BackboneConfig(dropout=1.0), "below 1"),
        (BackboneConfig(embedding_size=0), "over 0"),
    ],
)
def test_wrong_settings_name_what_is_allowed(wrong: BackboneConfig, allowed: str) -> None:
    with pytest.raises(UsageError, match=allowed):
        build_backbone(wrong)


@pytest.mark.parametrize("attributes", [(), ("height",), ("race", "race")])
def test_wrong_attributes_are_refused(attributes: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="race, gender, age"):
        AttributeNetwork(BackboneConfig(), attributes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("form", "dtype", "cosine"),
    [
        (Form("32-true"), torch.float32, 0.999999),
        (Form("32-true", channels_last=False), torch.float32, 0.999999),
        (Form("bf16-true"), torch.bfloat16, 0.999),
        (Form("bf16-mixed"), torch.bfloat16, 0.999),
        (Form("64-true"), torch.float64, 0.999999),
    ],
    ids=lambda value: value.format if isinstance(value, Form) else "",
)
def test_network_for_inference_keeps_the_embeddings(form: Form, dtype: torch.dtype, cosine: float) -> None:
    torch.manual_seed(0)
    plain = AttributeNetwork(BackboneConfig(depth=50, width=0.25), ("race",))
    warm(plain)
    images = smooth_images(20)
    fast = for_inference(plain, CPU, form)
    with torch.inference_mode():
        expected, found = plain.backbone(images), fast.backbone(images)
        others = (expected @ expected.T).fill_diagonal_(-1)
        assert others.max() < 0.99, "the embeddings must not fall together"
        assert (expected * found).sum(1).min() >= cosine
        assert found.dtype == fast(images)["race"].dtype == torch.float32
    assert {parameter.dtype for parameter in fast.backbone.parameters()} == {dtype}
    assert all(parameter.dtype == torch.float32 for parameter in plain.parameters())


def test_the_fold_is_exact_in_float32() -> None:
    torch.manual_seed(0)
    plain = build_backbone(BackboneConfig(depth=18, mode="ir_se", width=0.25))
    warm(plain)
    fast = for_inference(plain, CPU)
    images = smooth_images(20)
    with torch.inference_mode():
        torch.testing.assert_close(fast(images), plain(images), atol=1e-5, rtol=0)
        left = [module for module in fast.modules() if isinstance(module, nn.BatchNorm2d)]
    # One before each of the 8 units and one before the embedding follow no convolution directly.
    assert len(left) == 9
