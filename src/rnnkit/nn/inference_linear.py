"""Affine maps with weights of eight bits, for decoding on the CPU.

    W_oi ~ t_o Q_oi      Q whole numbers from -127 to 127, t_o = max_i |W_oi| / 127

The input is brought to eight bits row by row, by its own greatest number, whenever it comes (Bhandare et al. 2019,
arXiv:1906.00532, with scales a row). Products of bytes are summed in 32 bits, exactly, so that a result
depends on nothing but its own row. A quarter of the memory, and up to four times float32's speed where the processor
has AVX-512 (`is_fast`); slower than float32 on others.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

INT8_MAX = 127


# type: ignore[no-untyped-call]


class Int8Linear(nn.Module):
    """Stands in for `nn.Linear` where no gradient is wanted.

    Args:
        weight_OI: Weights.
        bias_O: Bias; none unless given.

    Attributes:
        whole_IO: The weights' whole numbers, transposed.
        scale_O: What one of them is worth.
        bias_O: Bias.
    """

    whole_IO: Tensor
    scale_O: Tensor
    bias_O: Tensor

    def __init__(self, weight_OI: Tensor, bias_O: Tensor | None = None) -> None:
        super().__init__()
        weight_OI = weight_OI.detach().float()
        scale_O = weight_OI.abs().amax(1).clamp_min(1e-30) / INT8_MAX
        whole_OI = (weight_OI / scale_O.unsqueeze(1)).round().to(torch.int8)
        self.register_buffer("whole_IO", _contiguous_copy(whole_OI.T))
        self.register_buffer("scale_O", scale_O)
        self.register_buffer("bias_O", torch.zeros_like(scale_O) if bias_O is None else bias_O.detach().float())

    @property
    def in_features(self) -> int:
        """Size of the input, I."""
        return self.whole_IO.shape[0]

    def rows(self, ids_C: Tensor) -> Int8Linear:
        """The map to these outputs alone."""
        part = Int8Linear.__new__(Int8Linear)
        nn.Module.__init__(part)
        part.register_buffer("whole_IO", _contiguous_copy(self.whole_IO[:, ids_C]))
        part.register_buffer("scale_O", self.scale_O[ids_C])
        part.register_buffer("bias_O", self.bias_O[ids_C])
        return part

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., I) to (..., O)."""
        x_NI = x.reshape(-1, x.shape[-1])
        if x.device.type == "cpu" and x.dtype == torch.float32:
            from rnnkit.kernels import dispatch  # brings the compiler along

            if dispatch.HAS_LANES:
                return self._by_kernels(x_NI).view(*x.shape[:-1], -1)
        return self.reference(x_NI).view(*x.shape[:-1], -1)

    def reference(self, x_NI: Tensor) -> Tensor:
        """The same as its equations."""
        scale_N1 = x_NI.abs().amax(1, keepdim=True).clamp_min(1e-30) / INT8_MAX
        whole_NI = (x_NI * (1 / scale_N1)).round().to(torch.int8)
        sums_NO = whole_NI.int() @ self.whole_IO.int()
        return sums_NO.float() * scale_N1 * self.scale_O + self.bias_O

    def _by_kernels(self, x_NI: Tensor) -> Tensor:
        from rnnkit.kernels import quantization, threads

        x_NI = x_NI.contiguous()
        (rows, columns), outputs = x_NI.shape, len(self.scale_O)
        whole_NI, scale_N = torch.empty(rows, columns, dtype=torch.int8), x_NI.new_empty(rows)
        shares = min(rows, 4 * torch.get_num_threads())
        threads.parallel_for(quantization.quantize, [rows, columns, x_NI, whole_NI, scale_N], shares)
        sums_NO = torch._int_mm(whole_NI, self.whole_IO)
        y_NO = sums_NO.view(torch.float32)
        threads.parallel_for(
            quantization.dequantize, [rows, outputs, sums_NO, y_NO, scale_N, self.scale_O, self.bias_O], shares
        )
        return y_NO


def _contiguous_copy(matrix: Tensor) -> Tensor:
    """The matrix in a new tensor, row by row.

    torch's product of bytes goes by strides, and those of a matrix of one row or column may say anything.
    """
    return torch.empty(matrix.shape, dtype=matrix.dtype, device=matrix.device).copy_(matrix)


class PackedLinear(nn.Module):
    """Stands in for `nn.Linear` where no gradient is wanted, on processors that the kernels suit.

    Args:
        weight_OI: Weights, in float32 on the CPU.
        bias_O: Bias; none unless given.

    Attributes:
        weight_OI: Weights.
        bias_O: Bias.
        panels: Both, packed.
    """

    weight_OI: Tensor
    bias_O: Tensor
    panels: Tensor

    def __init__(self, weight_OI: Tensor, bias_O: Tensor | None = None) -> None:
        super().__init__()
        from rnnkit.kernels import gemm  # brings the compiler along

        weight_OI = weight_OI.detach()
        bias_O = weight_OI.new_zeros(len(weight_OI)) if bias_O is None else bias_O.detach()
        self.register_buffer("weight_OI", weight_OI)
        self.register_buffer("bias_O", bias_O)
        self.register_buffer("panels", gemm.pack_panels(torch.cat([weight_OI, bias_O.unsqueeze(1)], dim=1), True))

    @property
    def in_features(self) -> int:
        """Size of the input, I."""
        return self.weight_OI.shape[1]

    def rows(self, ids_C: Tensor) -> PackedLinear:
        """The map to these outputs alone."""
        return PackedLinear(self.weight_OI[ids_C], self.bias_O[ids_C])

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., I) to (..., O)."""
        from rnnkit.kernels import gemm

        x_NI = nn.functional.pad(x.reshape(-1, x.shape[-1]), (0, 1), value=1.0)
        y_NO = gemm.matmul_packed(x_NI, self.panels, len(self.weight_OI))
        return y_NO.view(*x.shape[:-1], len(self.weight_OI))

    def reference(self, x: Tensor) -> Tensor:
        """The same as its equation."""
        return nn.functional.linear(x, self.weight_OI, self.bias_O)
