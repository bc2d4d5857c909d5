"""Batch norm and dropout that give the same in any number of processes, and in any part of a run."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from face_analysis.distributed import all_reduce, all_reduce_sum
from face_analysis.models.layers import at_least_float32
from face_analysis.training.draws import Draws


def synchronise_batch_norms(network: nn.Module, device: torch.device) -> None:
    """Let every batch norm of the network take its mean and variance over all processes."""
    for name, module in list(network.named_modules()):
        if isinstance(module, _BatchNorm):
            parent = network.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], _synchronised(module, device))


def _synchronised(norm: _BatchNorm, device: torch.device) -> nn.Module:
    if device.type == "cuda":
        shared: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(norm)  # type: ignore[no-untyped-call]
        return shared
    return _SharedBatchNorm(norm)


class _SharedBatchNorm(_BatchNorm):
    """Takes over the weights and averages of a batch norm; torch's own synchronised one needs a GPU."""

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self.training = norm.training

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, ...) -> the same shape."""
        if not self.training:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        with torch.autocast(x.device.type, enabled=False):
            return self._normalised(at_least_float32(x)).to(x.dtype)

    def _normalised(self, x: Tensor) -> Tensor:
        over = [0, *range(2, x.ndim)]
        shape = [1, -1] + [1] * (x.ndim - 2)
        count = float(all_reduce(torch.tensor(float(x.numel() // x.shape[1]))))
        mean = all_reduce_sum(x.sum(dim=over)) / count
        centred = x - mean.view(shape)
        variance = all_reduce_sum(centred.square().sum(dim=over)) / count
        self._remember(mean.detach(), variance.detach() * count / max(count - 1, 1))
        scale = (variance + self.eps).rsqrt() * self.weight
        return centred * scale.view(shape) + self.bias.view(shape)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.momentum is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked += 1


class DrawnDropout(nn.Dropout):
    """Dropout of what `draws` gives for each image, so the same in any batch, process or part of a run."""

    draws: Draws

    def forward(self, x: Tensor) -> Tensor:
        """(N, ...) of the images of `draws` -> the same shape."""
        if not self.training or self.p == 0:
            return x
        kept = self.draws.uniform("dropout", math.prod(x.shape[1:])) >= self.p
        return x * kept.view(x.shape) / (1 - self.p)


def replace_dropouts(network: nn.Module) -> list[DrawnDropout]:
    """Put these in place of every dropout of the network; before each step give them its `draws`."""
    drawn = []
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.Dropout):
            parent, _, own = name.rpartition(".")
            drawn.append(DrawnDropout(module.p))
            setattr(network.get_submodule(parent), own, drawn[-1].train(module.training))
    return drawn
