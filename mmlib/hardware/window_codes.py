"""Pooling and unpooling by window codes, which say where in its 2×2 window a maximum stood: 0 to 3, row by row."""

import torch


def is_channels_last(features: torch.Tensor) -> bool:
    return features.is_contiguous(memory_format=torch.channels_last)


class CodedPool(torch.autograd.Function):
    @staticmethod
    def forward(context, features):
        pixels = [features[..., code // 2 :: 2, code % 2 :: 2] for code in range(4)]
        upper, lower = torch.maximum(*pixels[:2]), torch.maximum(*pixels[2:])
        pooled = torch.maximum(upper, lower)
        above, below = ((pixels[k + 1] > pixels[k]).to(torch.uint8) for k in (0, 2))
        codes = torch.where(lower > upper, 2 + below, above)  # of equals the first, as PyTorch's
        context.save_for_backward(codes)
        context.mark_non_differentiable(codes)
        return pooled, codes

    @staticmethod
    def backward(context, gradient, _):
        return _spread(gradient, *context.saved_tensors)


class CodedUnpool(torch.autograd.Function):
    @staticmethod
    def forward(context, features, codes):
        context.save_for_backward(codes)
        return _spread(features, codes)

    @staticmethod
    def backward(context, gradient):
        return _gather(gradient, *context.saved_tensors), None


def _spread(values: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """Each value at its code's place in its window, zeros elsewhere: (N, C, H, W) → (N, C, 2H, 2W)."""
    count, channels, height, width = values.shape
    memory_format = torch.channels_last if is_channels_last(values) else torch.contiguous_format
    spread = torch.empty(
        count, channels, 2 * height, 2 * width,
        dtype=values.dtype, device=values.device, memory_format=memory_format,
    )  # fmt: skip
    for code in range(4):
        spread[..., code // 2 :: 2, code % 2 :: 2] = torch.where(codes == code, values, 0)
    return spread


def _gather(spread: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """The values at the codes' places, (N, C, 2H, 2W) → (N, C, H, W): inverse and gradient of `_spread`."""
    return sum(torch.where(codes == code, spread[..., code // 2 :: 2, code % 2 :: 2], 0) for code in range(4))
