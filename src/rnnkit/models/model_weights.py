"""Weights in safetensors files that know their own checksum.

A tied matrix is stored once. The header holds the facts of the moment (step, scores) and the SHA-256 of the
tensors, so that a file cut short or with a flipped byte is recognised before it is used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rnnkit.errors import DataError, FormatError
from rnnkit.io import manifest
from rnnkit.io.atomic import atomic_file
from rnnkit.io.safe_reading import check_regular, parse_json

METADATA_KEY = "rnnkit"
"""Name of the header's entry."""

_ALWAYS_ALLOWED_BYTES = 1 << 26
_WEIGHT_DTYPES = {
    torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.bool,
    torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
}  # fmt: skip


def unique_tensors(module: nn.Module) -> dict[str, Tensor]:
    """The module's parameters and buffers by name, a shared one only under its first name."""
    seen: dict[int, str] = {}
    tensors = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        if seen.setdefault(id(tensor), name) == name:
            tensors[name] = tensor.detach()
    return tensors


def count_parameters(module: nn.Module) -> int:
    """Numbers in the module's parameters, a shared one counted once."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_frozen_parameters(module: nn.Module) -> int:
    """Those among them that training leaves as they are."""
    return sum(parameter.numel() for parameter in module.parameters() if not parameter.requires_grad)


def save(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and facts atomically.

    Raises:
        ArtefactError: They could not be written; the old file is whole.
    """
    from safetensors.torch import save as to_bytes

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # One entry only: the library writes several in random order, and equal weights should give equal bytes.
    metadata = json.dumps({"facts": dict(facts), "sha256": _sha256(plain)})
    with atomic_file(path, "wb") as file:
        file.write(to_bytes(plain, {METADATA_KEY: metadata}))


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read tensors and facts.

    Raises:
        DataError: There is no such file.
        FormatError: It is not whole.
    """
    from safetensors import SafetensorError, safe_open

    try:
        check_regular(path)
        with safe_open(path, framework="pt") as file:
            metadata = parse_json((file.metadata() or {}).get(METADATA_KEY, "{}"))
            if not isinstance(metadata, dict) or not isinstance(metadata.get("facts", {}), dict):
                raise ValueError(f"the entry {METADATA_KEY} of its header is of another kind")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except FileNotFoundError:
        raise DataError(f"there are no weights at {path}") from None
    except RuntimeError as error:  # torch's word for a file that was removed since it was looked at
        if "unable to open" not in str(error):
            raise
        raise DataError(f"cannot read {path}", str(error)) from error
    except (SafetensorError, OSError, ValueError) as error:
        raise FormatError(
            f"{path} is damaged or cut short", str(error), hint="copy the model directory again"
        ) from error
    if not (metadata.get("sha256") == _sha256(tensors) if metadata else _manifest_checksum_ok(path)):
        raise FormatError(
            f"{path} is damaged", "its tensors have another SHA-256 than was written", hint="copy the model again"
        )
    return tensors, metadata.get("facts", {})


def _manifest_checksum_ok(path: Path) -> bool:
    """Whether the manifest beside a file says that it is whole: the weights in `last/` have no word of their own."""
    if not (path.parent / manifest.NAME).exists():
        return False
    entry = manifest.load(path.parent / manifest.NAME).files.get(path.name)
    return entry is not None and entry.get("sha256") == manifest.sha256(path)


def copy_into(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Put tensors into a module.

    Raises:
        FormatError: Names or shapes are not the module's.
    """
    check_shapes(module, tensors, path)
    for name, tensor in unique_tensors(module).items():
        tensor.copy_(tensors[name])


def check_shapes(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise FormatError where names or shapes are not the module's."""
    wanted = unique_tensors(module)
    for name in sorted(wanted.keys() | tensors.keys()):
        if name not in wanted or name not in tensors:
            place = "config.json does not know it" if name not in wanted else "it is missing"
            raise FormatError(f"{path} does not fit its config.json", f"tensor {name}: {place}")
        if wanted[name].shape != tensors[name].shape:
            shapes = f"{tuple(tensors[name].shape)}, config.json says {tuple(wanted[name].shape)}"
            raise FormatError(f"{path} does not fit its config.json", f"tensor {name} is {shapes}")


def may_exceed_weights(shape: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> bool:
    """Whether a network of a shape could take far more memory than its weights do; reckoned without making it.

    Every matrix of a network has a side of a vocabulary or four of a layer's sizes, and a layer has few matrices.

    Raises:
        ValueError: It has more layers than there are tensors.
    """
    numbers = {key: value for key, value in shape.items() if isinstance(value, int)}
    layers = sum(value for key, value in numbers.items() if "layers" in key)
    if layers > len(tensors):
        raise ValueError(f"{layers} layers, the weights are {len(tensors)} tensors")
    widest = max((numbers.get(key, 0) for key in ("embedding", "hidden", "inner")), default=0)
    rows = sum(numbers.get(key, 0) for key in ("vocabulary", "source_size", "target_size"))
    most = 4 * (2 * rows * widest + 32 * (layers + 1) * widest**2)
    return most > max(_ALWAYS_ALLOWED_BYTES, 8 * sum(tensor.nbytes for tensor in tensors.values()))


def check_finite_weights(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise FormatError where a weight is infinite or not a number, or of a strange type; it names the tensor."""
    for name, tensor in tensors.items():
        if tensor.dtype not in _WEIGHT_DTYPES:
            raise FormatError(f"{path}: tensor {name} is of {tensor.dtype}, which no weights are")
        if not torch.isfinite(tensor).all():
            raise FormatError(
                f"{path}: tensor {name} has numbers that are none (NaN or infinite)",
                "a training that diverged leaves such weights",
                hint="another checkpoint may be whole: --checkpoint last or average",
            )


def average_weights(many: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of several sets of the same tensors, summed in float64."""
    return {
        name: torch.stack([one[name].double() for one in many]).mean(0).to(first.dtype)
        for name, first in many[0].items()
    }


def _sha256(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
