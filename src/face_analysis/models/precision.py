"""The fastest form of a network for inference, and whether bfloat16 is fast on a device."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.layers import Backbone


def fast_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware: AVX512-BF16 or AMX, or CUDA from capability 8.0."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False


CPU_BATCH = 16
"""Images a pass on a CPU: above it the activations outgrow what the allocator keeps, and page faults cost."""


Network = TypeVar("Network", AttributeNetwork, Backbone)


class _Fast(Backbone):
    def __init__(self, backbone: Backbone, dtype: torch.dtype) -> None:
        super().__init__()
        self.backbone = backbone
        self.dtype = dtype

    def raw(self, images: Tensor) -> Tensor:
        images = images.to(self.dtype, memory_format=torch.channels_last)
        passes = torch.split(images, CPU_BATCH) if images.device.type == "cpu" else (images,)
        return torch.cat([self.backbone.raw(part).to(torch.float32) for part in passes])


def for_inference(network: Network, device: torch.device, *, exact: bool = False) -> Network:
    """A copy of the network on the device in its fastest form: same call, float32 in, float32 out.

    Batch norms that directly follow a convolution or a linear layer are folded into it; the memory layout is
    channels-last; unless it has to be `exact`, a backbone that stands it computes in bfloat16 where that is
    fast.
    """
    network = copy.deepcopy(network).eval().requires_grad_(False)
    bf16 = fast_bf16(device) and not exact
    if isinstance(network, AttributeNetwork):
        network.backbone = _fast(network.backbone, bf16)
        return network.eval().to(device)
    return _fast(network, bf16).eval().to(device)


def _fast(backbone: Backbone, bf16: bool) -> Backbone:
    dtype = torch.bfloat16 if bf16 and backbone.stands_bfloat16 else torch.float32
    for module in list(backbone.modules()):
        if isinstance(module, nn.Sequential):
            _fold_batch_norms(module)
    backbone = backbone.to(dtype)
    # The stubs know no memory_format for modules beside a dtype.
    backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return _Fast(backbone, dtype)


def _fold_batch_norms(layers: nn.Sequential) -> None:
    for index in range(len(layers) - 1):
        layer, norm = layers[index], layers[index + 1]
        if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            layers[index] = fuse_conv_bn_eval(layer, norm)
        elif isinstance(layer, nn.Linear) and isinstance(norm, nn.BatchNorm1d):
            layers[index] = fuse_linear_bn_eval(layer, norm)
        else:
            continue
        layers[index + 1] = nn.Identity()
