"""A network as it runs for inference: folded, and in one number format and order of memory."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from face_analysis.machine import Form, Precision
from face_analysis.models.attributes import AttributeNetwork
from face_analysis.models.layers import Backbone

CPU_BATCH = 16
"""Images a pass on a CPU: above it the activations outgrow what the allocator keeps, and page faults cost."""
NUMBERS: dict[Precision, torch.dtype] = {
    "32-true": torch.float32,
    "64-true": torch.float64,
    "bf16-true": torch.bfloat16,
    "bf16-mixed": torch.bfloat16,
    "16-mixed": torch.float16,
}
"""What a backbone computes in; without gradients, mixed formats need no weights in another one."""

Network = TypeVar("Network", bound=AttributeNetwork | Backbone)


class _Formed(Backbone):
    def __init__(self, backbone: Backbone, dtype: torch.dtype, order: torch.memory_format) -> None:
        super().__init__()
        self.backbone = backbone
        self.dtype, self.order = dtype, order

    def raw(self, images: Tensor) -> Tensor:
        images = images.to(self.dtype, memory_format=self.order)
        passes = torch.split(images, CPU_BATCH) if images.device.type == "cpu" else (images,)
        return torch.cat([self.backbone.raw(part).to(torch.float32) for part in passes])


def backbone_of(network: AttributeNetwork | Backbone) -> Backbone:
    """The network without heads."""
    return network.backbone if isinstance(network, AttributeNetwork) else network


def for_inference(network: Network, device: torch.device, form: Form | None = None) -> Network:
    """A copy of the network on the device in a form (default: float32): float32 in, float32 out.

    Batch norms that directly follow a convolution or a linear layer are folded into it; heads stay in
    float32.
    """
    copied: Any = copy.deepcopy(network).eval().requires_grad_(False)
    form = form or Form()
    if isinstance(copied, AttributeNetwork):
        copied.backbone = _formed(copied.backbone, form)
    else:
        copied = _formed(copied, form)
    return copied.eval().to(device)  # type: ignore[no-any-return]


def _formed(backbone: Backbone, form: Form) -> Backbone:
    dtype = NUMBERS[form.precision]
    order = torch.channels_last if form.channels_last else torch.contiguous_format
    for module in list(backbone.modules()):
        if isinstance(module, nn.Sequential):
            _fold_batch_norms(module)
    backbone = backbone.to(dtype)
    # The stubs know no memory_format for modules beside a dtype.
    backbone.to(memory_format=order)  # type: ignore[call-overload]
    return _Formed(backbone, dtype, order)


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
