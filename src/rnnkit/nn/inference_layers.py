"""Layers for inference: linear layers with int8 weights or with float32 weights in panels, and top-k log-softmax.

`Int8Linear` uses dynamic int8 quantization (Bhandare et al. 2019, arXiv:1906.00532, with scales per row):

    W_oi ~ t_o Q_oi      Q int8 from -127 to 127, t_o = max_i |W_oi| / 127

The input is quantized row by row, with the scale of its own largest absolute value. int8 products are summed in int32,
which is exact, so that a result depends on its own row only. It takes a quarter of the memory and reaches up to four
times the speed of float32 on processors with AVX-512 (`dispatch.int8_is_fast`); on others it is slower than float32.

`PackedLinear` packs float32 weights once, instead of at every step, into the panels of `kernels/gemm.py`, which suit
products of a few rows. The bias is one more column: [x 1] [W b]^T = W x + b. A result depends on its own row only.

Both replace `nn.Linear` where no gradient is needed. I and O are the sizes of input and output, N the number of rows.

    log p_v = z_v - log sum_u e^z_u        the K largest of each row, for beam search

A log-softmax writes as many numbers as the vocabulary has entries, of which a search needs a few. On processors that it
suits, a compiled kernel fuses both; `reference_topk_log_softmax` is the plain version.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rnnkit.kernels.dispatch import cpu_features
from rnnkit.nn.recurrent_layer import RecurrentLayer

INT8_MAX = 127
MIN_SCALE = 1e-30
"""Lower bound of the largest absolute value of a row, so that a row of zeros has a finite scale."""

MAX_EXCLUDED_ID = 63
"""Largest id that the kernel can exclude: it takes excluded ids as the bits of an int64."""


class Int8Linear(nn.Module):
    """Linear layer with int8 weights and dynamically quantized input.

    Args:
        weight_OI: Weights.
        bias_O: Bias; none by default.

    Attributes:
        quantized_IO: Quantized weights Q, transposed.
        scale_O: Scales t.
        bias_O: Bias.
    """

    quantized_IO: Tensor
    scale_O: Tensor
    bias_O: Tensor

    def __init__(self, weight_OI: Tensor, bias_O: Tensor | None = None) -> None:
        super().__init__()
        weight_OI = weight_OI.detach().float()
        scale_O = weight_OI.abs().amax(1).clamp_min(MIN_SCALE) / INT8_MAX
        quantized_OI = (weight_OI / scale_O.unsqueeze(1)).round().to(torch.int8)
        self.register_buffer("quantized_IO", _contiguous_copy(quantized_OI.T))
        self.register_buffer("scale_O", scale_O)
        self.register_buffer("bias_O", torch.zeros_like(scale_O) if bias_O is None else bias_O.detach().float())

    @property
    def in_features(self) -> int:
        """Size of the input, I."""
        return self.quantized_IO.shape[0]

    def select_outputs(self, ids_C: Tensor) -> Int8Linear:
        """Return the layer restricted to these outputs."""
        selected = Int8Linear.__new__(Int8Linear)
        nn.Module.__init__(selected)
        selected.register_buffer("quantized_IO", _contiguous_copy(self.quantized_IO[:, ids_C]))
        selected.register_buffer("scale_O", self.scale_O[ids_C])
        selected.register_buffer("bias_O", self.bias_O[ids_C])
        return selected

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., I) to (..., O)."""
        x_NI = x.reshape(-1, x.shape[-1])
        if x.device.type == "cpu" and x.dtype == torch.float32 and cpu_features().avx2_fma:
            return self._run_kernels(x_NI).view(*x.shape[:-1], -1)
        return self.reference(x_NI).view(*x.shape[:-1], -1)

    def reference(self, x_NI: Tensor) -> Tensor:
        """Compute the layer by its equations."""
        scale_N1 = x_NI.abs().amax(1, keepdim=True).clamp_min(MIN_SCALE) / INT8_MAX
        quantized_NI = (x_NI * (1 / scale_N1)).round().to(torch.int8)
        sums_NO = quantized_NI.int() @ self.quantized_IO.int()
        return sums_NO.float() * scale_N1 * self.scale_O + self.bias_O

    def _run_kernels(self, x_NI: Tensor) -> Tensor:
        from rnnkit.kernels import (
            gemm,
            threads,  # these import Numba
        )

        x_NI = x_NI.contiguous()
        (rows, columns), outputs = x_NI.shape, len(self.scale_O)
        quantized_NI, scale_N = torch.empty(rows, columns, dtype=torch.int8), x_NI.new_empty(rows)
        tasks = min(rows, 4 * torch.get_num_threads())
        threads.parallel_for(gemm.quantize, [rows, columns, x_NI, quantized_NI, scale_N], tasks)
        sums_NO = torch._int_mm(quantized_NI, self.quantized_IO)
        y_NO = sums_NO.view(torch.float32)  # the kernel writes each output over its sum
        fields: list[int | Tensor] = [rows, outputs, sums_NO, y_NO, scale_N, self.scale_O, self.bias_O]
        threads.parallel_for(gemm.dequantize, fields, tasks)
        return y_NO


class PackedLinear(nn.Module):
    """Linear layer with float32 weights packed into panels, for processors with AVX2.

    Args:
        weight_OI: Weights, in float32 on the CPU.
        bias_O: Bias; none by default.

    Attributes:
        weight_OI: Weights.
        bias_O: Bias.
        panels: Weights and bias, packed.
    """

    weight_OI: Tensor
    bias_O: Tensor
    panels: Tensor

    def __init__(self, weight_OI: Tensor, bias_O: Tensor | None = None) -> None:
        super().__init__()
        from rnnkit.kernels import gemm  # imports Numba

        weight_OI = weight_OI.detach()
        bias_O = weight_OI.new_zeros(len(weight_OI)) if bias_O is None else bias_O.detach()
        self.register_buffer("weight_OI", weight_OI)
        self.register_buffer("bias_O", bias_O)
        self.register_buffer("panels", gemm.pack_panels(torch.cat([weight_OI, bias_O.unsqueeze(1)], dim=1), True))

    @property
    def in_features(self) -> int:
        """Size of the input, I."""
        return self.weight_OI.shape[1]

    def select_outputs(self, ids_C: Tensor) -> PackedLinear:
        """Return the layer restricted to these outputs."""
        return PackedLinear(self.weight_OI[ids_C], self.bias_O[ids_C])

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., I) to (..., O)."""
        from rnnkit.kernels import gemm

        x_NI = nn.functional.pad(x.reshape(-1, x.shape[-1]), (0, 1), value=1.0)
        y_NO = gemm.matmul_packed(x_NI, self.panels, len(self.weight_OI))
        return y_NO.view(*x.shape[:-1], len(self.weight_OI))

    def reference(self, x: Tensor) -> Tensor:
        """Compute the layer by its equation."""
        return nn.functional.linear(x, self.weight_OI, self.bias_O)


def _contiguous_copy(matrix: Tensor) -> Tensor:
    """Copy a matrix row by row into a new tensor.

    torch's int8 product goes by strides, and those of a matrix with one row or column are arbitrary.
    """
    return torch.empty(matrix.shape, dtype=matrix.dtype, device=matrix.device).copy_(matrix)


InferenceLinear = Int8Linear | PackedLinear


@dataclass(frozen=True)
class InferenceLayers:
    """Precomputed parts of a network for decoding; the defaults leave the network as trained.

    Attributes:
        projections_VG: Input projection of every target embedding in a recurrent decoder's first layer, which replaces
            a matrix product per step by a lookup.
        output: Replacement of the output layer.
        encoder_dtype: Precision of the encoder's matrix products, which int8 does not affect.
    """

    projections_VG: Tensor | None = None
    output: InferenceLinear | None = None
    encoder_dtype: torch.dtype = torch.float32


def choose_inference_linear(
    device: torch.device, int8: bool
) -> Callable[[Tensor, Tensor | None], InferenceLinear] | None:
    """Return the constructor of the fastest linear layer on a device; None for `nn.Linear` itself."""
    if int8:
        return Int8Linear
    if device.type != "cpu":
        return None
    return PackedLinear if cpu_features().avx2_fma else None


def replace_linear_layers(network: nn.Module, make: Callable[[Tensor, Tensor | None], InferenceLinear]) -> None:
    """Replace, in place, all linear layers and the single-step products of recurrent layers.

    The network is for inference afterwards: the replacements have no gradients.
    """
    for module in list(network.modules()):
        if isinstance(module, RecurrentLayer):
            module.step_linears = make(*module.input_weights), make(*module.hidden_weights)
        for name, child in module.named_children():
            if isinstance(child, nn.Linear):
                setattr(module, name, make(child.weight, child.bias))


@dataclass(frozen=True)
class LogitMask:
    """Additive mask of logits, shared by the rows of a sentence.

    Attributes:
        bias_BV: Minus infinity for tokens that are not allowed, 0 for the others.
        sentence_N: Row of `bias_BV` that applies to each row of logits.
    """

    bias_BV: Tensor
    sentence_N: Tensor


def topk_log_softmax(
    logits_NV: Tensor, count: int, excluded: Collection[int] = (), mask: LogitMask | None = None
) -> tuple[Tensor, Tensor]:
    """Compute `reference_topk_log_softmax` with the fastest implementation for these tensors."""
    if logits_NV.device.type != "cpu" or logits_NV.dtype != torch.float32:
        return reference_topk_log_softmax(logits_NV, count, excluded, mask)
    if max(excluded, default=0) > MAX_EXCLUDED_ID or not cpu_features().avx2_fma:
        return reference_topk_log_softmax(logits_NV, count, excluded, mask)
    from rnnkit.kernels import (
        decoder_step,  # these import Numba
        threads,
    )

    rows, columns = logits_NV.shape
    logits_NV = logits_NV.contiguous()
    best_NK, log_sum_N = logits_NV.new_empty(rows, count), logits_NV.new_empty(rows)
    id_NK = torch.empty(rows, count, dtype=torch.long)
    excluded_bits = sum(1 << column for column in excluded)
    bias, sentence = (0, 0) if mask is None else (mask.bias_BV.contiguous(), mask.sentence_N.contiguous())
    fields: list[int | Tensor] = [rows, columns, count, excluded_bits, logits_NV, bias, sentence]
    fields += [best_NK, id_NK, log_sum_N]
    threads.parallel_for(decoder_step.topk_log_sum_exp, fields, min(rows, 4 * torch.get_num_threads()))
    return best_NK - log_sum_N.unsqueeze(1), id_NK


def reference_topk_log_softmax(
    logits_NV: Tensor, count: int, excluded: Collection[int] = (), mask: LogitMask | None = None
) -> tuple[Tensor, Tensor]:
    """Compute the top k by a log-softmax over the whole vocabulary.

    Args:
        logits_NV: Logits, one row per hypothesis.
        count: Number K of tokens to return, at most V.
        excluded: Ids that are not returned, although their probability counts in the sum.
        mask: Tokens without probability; none by default.

    Returns:
        Log-probabilities (N, K) in nats, in descending order, and their ids; minus infinity if fewer than K tokens can
        be returned.
    """
    logits_NV = logits_NV.float()
    if mask is not None:
        logits_NV = logits_NV + mask.bias_BV[mask.sentence_N]
    log_p_NV = torch.log_softmax(logits_NV, dim=-1)
    log_p_NV[:, list(excluded)] = -torch.inf
    return log_p_NV.topk(count, dim=-1)
