"""Muon: momentum whose update of a weight matrix is made orthogonal (Jordan et al. 2024).

Source: kellerjordan.github.io/posts/muon, and the authors' `cifar10-airbench`. The weight of a convolution is a
matrix with one row per output channel. `torch.optim.Muon` takes only 2-D weights, one after the other; here weights of
equal shape are stacked, because each call costs a CPU time.
"""

import math

import torch
from torch import nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""The authors' a, b and c: the polynomial is steep at 0, so that few iterations bring all singular values near 1."""
LEAST = 16
"""Least channels, in and out, of a convolution between features; one with fewer reads or writes an image."""


def matrices(networks: nn.Module) -> list[nn.Parameter]:
    """The weights that Muon updates: convolutions between features. Adam updates first layers, heads and vectors."""
    return [weight for weight in networks.parameters() if weight.dim() == 4 and min(weight.shape[:2]) >= LEAST]


class Muon(torch.optim.Optimizer):
    """Muon for convolutions' weights (out, in, k, k), with Nesterov momentum; `lr` is the spectral norm of an update.

    Set `found_inf`, a tensor, to leave out an update whose loss was not finite, as PyTorch's fused kernels do.
    """

    def __init__(self, weights, lr: float, momentum: float = 0.9, iterations: int = 3):
        super().__init__(weights, {"lr": lr, "momentum": momentum, "iterations": iterations})
        self.found_inf: torch.Tensor | None = None

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            shapes: dict[tuple[int, ...], list[torch.Tensor]] = {}
            for weight in group["params"]:
                if weight.grad is not None:
                    shapes.setdefault(tuple(weight.shape), []).append(weight)
            for (rows, *others), weights in shapes.items():
                for weight in weights:
                    if weight not in self.state:
                        self.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
                buffers = [self.state[weight]["momentum_buffer"] for weight in weights]
                gradient, before = (torch.stack(list(map(_matrix, x))) for x in ([w.grad for w in weights], buffers))
                moved = torch.add(gradient, before, alpha=group["momentum"])
                update = orthogonal(gradient.add_(moved, alpha=group["momentum"]), group["iterations"])
                update *= -group["lr"] * max(1.0, rows / math.prod(others)) ** 0.5
                if self.found_inf is not None:
                    moved, update = (torch.where(self.found_inf > 0, x, y) for x, y in ((before, moved), (0.0, update)))
                torch._foreach_copy_(buffers, [_convolution(m, weights[0]) for m in moved])
                torch._foreach_add_(weights, [_convolution(u, weights[0]) for u in update])


def _matrix(weight: torch.Tensor) -> torch.Tensor:
    """(out, in, k, k) → (out, k · k · in), without a copy where it lies channels_last; the columns' order is free."""
    return weight.permute(0, 2, 3, 1).flatten(1)


def _convolution(matrix: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """A view of `_matrix`'s result in the shape of the weight."""
    return matrix.unflatten(1, (*weight.shape[2:], weight.shape[1])).permute(0, 3, 1, 2)


def orthogonal(update: torch.Tensor, iterations: int) -> torch.Tensor:
    """U Vᵀ, nearly, of matrices U S Vᵀ (N, rows, columns), by Newton–Schulz: X ← a X + b (X Xᵀ) X + c (X Xᵀ)² X.

    All iterations are polynomials of the small X Xᵀ. So they are multiplied there, and two large products replace six.
    """
    if update.shape[1] > update.shape[2]:
        return orthogonal(update.mT, iterations).mT
    x = update / (update.norm(dim=(1, 2), keepdim=True) + 1e-7)
    gram = x @ x.mT
    product = polynomial = _polynomial(gram)
    for _ in range(iterations - 1):
        gram = polynomial @ gram @ polynomial
        polynomial = _polynomial(gram)
        product = polynomial @ product
    return product @ x


def _polynomial(gram: torch.Tensor) -> torch.Tensor:
    """a I + b G + c G² of square matrices (N, n, n)."""
    a, b, c = COEFFICIENTS
    polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
    polynomial.diagonal(dim1=1, dim2=2).add_(a)
    return polynomial
