from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from face_analysis.machine import Form
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.backbone import build_backbone
from face_analysis.models.layers import StridedDepthwise
from face_analysis.models.mobilenets import MobileNet
from face_analysis.models.precision import for_inference
from face_analysis.models.weights import load_model, save_model
from face_analysis.zoo.card import BackboneConfig, ModelCard
from face_analysis.zoo.find import find

NARROW = BackboneConfig("mobilenet", width=0.25, embedding_size=32)
CHANNELS = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
HALVED = (2, 4, 6, 12)
"""Of arXiv 1704.04861, Table 1: channels after the stem and each "Conv", and the "Conv dw" with stride 2."""


def weights_by_hand() -> tuple[int, int]:
    """Convolution weights up to the last "Conv", and channels that are normalised on the way."""
    weights, channels = 3 * 9 * 32, 32
    for inputs, outputs in itertools.pairwise(CHANNELS):
        weights += 9 * inputs + inputs * outputs
        channels += inputs + outputs
    return weights, channels


def test_it_has_the_parameters_counted_by_hand() -> None:
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in MobileNet(embedding_size=512).parameters())
    weights, channels = weights_by_hand()
    # A channel has a scale, a shift and a slope; after the body: norm, weighted mean, embedding, norm.
    assert count == weights + 3 * channels + 2 * 1024 + 49 * 1024 + 1024 * 512 + 2 * 512


def test_body_and_a_classifier_of_1000_have_the_published_4_2_million_parameters() -> None:
    weights, channels = weights_by_hand()
    assert (weights + 2 * channels + 1025 * 1000) / 1e6 == pytest.approx(4.2, abs=0.05)


def randomised(network: MobileNet) -> MobileNet:
    """Batch norms and slopes as after training, each with numbers of its own."""
    generator = torch.Generator().manual_seed(1)
    for name, tensor in network.state_dict().items():
        if tensor.dim() == 1 and tensor.is_floating_point():
            low, high = (-0.1, 0.1) if name.endswith(("bias", "mean")) else (0.3, 1.5)
            tensor.uniform_(low, high, generator=generator)
    network.get_parameter("output.1.weight").data.uniform_(-0.1, 0.1, generator=generator)
    return network.eval()


def straight(network: MobileNet, x: torch.Tensor) -> torch.Tensor:
    """The forward pass line by line in float64, from the tensors in their order."""
    tensors = iter(
        [t.double() for name, t in network.state_dict().items() if not name.endswith("num_batches_tracked")]
    )

    def norm(x: torch.Tensor, eps: float) -> torch.Tensor:
        scale, shift, mean, variance = (next(tensors).view(1, -1, 1, 1) for _ in range(4))
        return (x - mean) / (variance + eps).sqrt() * scale + shift

    def slope(x: torch.Tensor) -> torch.Tensor:
        factor = next(tensors).view(1, -1, 1, 1)
        return torch.where(x > 0, x, factor * x)

    x = slope(norm(F.conv2d(x.double(), next(tensors), padding=1), 1e-3))
    for block in range(1, 14):
        stride, groups = 2 if block in HALVED else 1, x.shape[1]
        x = slope(norm(F.conv2d(x, next(tensors), stride=stride, padding=1, groups=groups), 1e-3))
        x = slope(norm(F.conv2d(x, next(tensors)), 1e-3))
    x = norm(x, 2e-5)
    x = (x * next(tensors)[:, 0]).sum(dim=(2, 3))
    x = norm((x @ next(tensors).T)[:, :, None, None], 1e-5)[:, :, 0, 0]
    return x / x.norm(dim=1, keepdim=True)


def test_forward_equals_the_layers_written_out() -> None:
    torch.manual_seed(0)
    network = randomised(MobileNet(width=0.25, embedding_size=32))
    images = torch.rand(2, 3, 112, 112) * 2 - 1
    with torch.no_grad():
        expected = straight(network, images)
        assert (expected[0] @ expected[1]).abs() < 0.999, "the embeddings must not fall together"
        torch.testing.assert_close(network(images).double(), expected, atol=1e-5, rtol=0)


def test_the_weighted_mean_starts_as_the_mean() -> None:
    network = MobileNet(width=0.25).eval()
    maps = torch.randn(2, 256, 7, 7)
    pooled = network.get_submodule("output.1")(maps)
    torch.testing.assert_close(pooled[:, :, 0, 0], maps.mean(dim=(2, 3)))


def test_a_card_that_names_it_brings_it_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = AttributeNetwork(NARROW, ("race", "age"))
    assert isinstance(network.backbone, MobileNet)
    randomised(network.backbone)
    images = torch.randn(2, 3, 112, 112)
    card = ModelCard(name="narrow", tasks=("race", "age"), backbone=NARROW)
    save_model(tmp_path / "narrow.safetensors", network, card)
    loaded = load_model(tmp_path / "narrow.safetensors")
    assert loaded.card.backbone == NARROW
    with torch.no_grad():
        for name, logits in network(images).items():
            assert torch.equal(loaded.network(images)[name], logits)


def test_the_form_for_inference_folds_every_norm_behind_a_convolution_and_keeps_the_embeddings() -> None:
    torch.manual_seed(0)
    network = build_backbone(NARROW)
    assert isinstance(network, MobileNet)
    randomised(network)
    images = torch.rand(20, 3, 112, 112) * 2 - 1  # more than one pass
    fast = for_inference(network, torch.device("cpu"))
    with torch.inference_mode():
        torch.testing.assert_close(fast(images), network(images), atol=1e-5, rtol=0)
    left = [module for module in fast.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(left) == 1, "the one before the mean follows no convolution"


def test_the_bundled_network_keeps_its_embeddings_in_bfloat16() -> None:
    network = load_model(find("attributes")).network
    fast = for_inference(network, torch.device("cpu"), Form("bf16-true"))
    torch.manual_seed(0)
    images = F.interpolate(torch.rand(20, 3, 7, 7) * 2 - 1, size=112, mode="bicubic").clamp(-1, 1)
    with torch.inference_mode():
        expected, found = network.backbone(images), fast.get_submodule("backbone")(images)
    assert (expected @ expected.T).fill_diagonal_(-1).max() < 0.99, "they must not fall together"
    assert (expected * found).sum(1).min() >= 0.9997
    assert {parameter.dtype for parameter in fast.get_submodule("backbone").parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_strided_depthwise_layer_under_autocast_gives_the_gradients_of_float64(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer = StridedDepthwise(24, 24, 3, 2, 1, groups=24, bias=False)
    inputs = torch.randn(4, 24, 14, 14).to(dtype).requires_grad_()
    upstream = torch.randn(4, 24, 7, 7).to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        output = layer(inputs)
    output.backward(upstream)
    exact, weight = inputs.detach().double().requires_grad_(), layer.weight.detach().double().requires_grad_()
    expected = F.conv2d(exact, weight, stride=2, padding=1, groups=24)
    expected.backward(upstream.double())
    assert output.dtype == inputs.dtype == dtype
    tolerance = {"rtol": 1e-2, "atol": 1e-2} if dtype == torch.bfloat16 else {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(output.double(), expected, **tolerance)
    assert inputs.grad is not None
    assert layer.weight.grad is not None
    assert exact.grad is not None
    assert weight.grad is not None
    assert layer.weight.grad.dtype == torch.float32
    torch.testing.assert_close(inputs.grad.double(), exact.grad, **tolerance)
    torch.testing.assert_close(layer.weight.grad.double(), weight.grad, rtol=1e-4, atol=1e-4)


def test_a_strided_depthwise_layer_in_evaluation_computes_in_the_type_of_autocast() -> None:
    layer = StridedDepthwise(16, 16, 3, 2, 1, groups=16, bias=False).eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.randn(1, 16, 8, 8)).dtype == torch.bfloat16
