"""Weights in safetensors files with their own checksum.

A tied matrix is stored once. The header has one entry with the metadata of the checkpoint (step, scores) and the
SHA-256 of the tensors, so that a truncated file or a flipped bit is detected on loading.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from rnnkit.errors import DataError, FormatError
from rnnkit.io import manifest
from rnnkit.io.atomic import atomic_file
from rnnkit.io.safe_reading import check_regular, parse_json
from rnnkit.json_types import JsonMapping, JsonObject

METADATA_KEY = "rnnkit"
"""Key of the header's entry."""

_ALWAYS_ALLOWED_BYTES = 1 << 26
"""Networks up to this size are built without the estimate of `may_exceed_weights`."""

_WEIGHT_DTYPES = {
    torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.bool,
    torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
}  # fmt: skip


def unique_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return the module's parameters and buffers by name; a tied tensor under its first name only."""
    seen: dict[int, str] = {}
    tensors = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        if seen.setdefault(id(tensor), name) == name:
            tensors[name] = tensor.detach()
    return tensors


def count_parameters(module: nn.Module) -> int:
    """Count the module's parameters; tied ones once."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_frozen_parameters(module: nn.Module) -> int:
    """Count the parameters that training does not update."""
    return sum(parameter.numel() for parameter in module.parameters() if not parameter.requires_grad)


def save(path: Path, tensors: Mapping[str, Tensor], facts: JsonMapping) -> None:
    """Write tensors and metadata atomically.

    Raises:
        ArtefactError: The file could not be written; an old file is unchanged.
    """
    from safetensors.torch import save as to_bytes

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # One header entry only: safetensors writes several in random order, and equal weights must give equal bytes.
    metadata = json.dumps({"facts": dict(facts), "sha256": _sha256(plain)})
    with atomic_file(path, "wb") as file:
        file.write(to_bytes(plain, {METADATA_KEY: metadata}))


def load(path: Path) -> tuple[dict[str, Tensor], JsonObject]:
    """Read tensors and metadata.

    Raises:
        DataError: The file does not exist.
        FormatError: The file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        check_regular(path)
        with safe_open(path, framework="pt") as file:
            metadata = parse_json((file.metadata() or {}).get(METADATA_KEY, "{}"))
            if not isinstance(metadata, dict) or not isinstance(metadata.get("facts", {}), dict):
                raise ValueError(f"the entry {METADATA_KEY} of its header has the wrong type")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except FileNotFoundError:
        raise DataError(f"{path} does not exist", "it should contain the weights", path=path) from None
    except RuntimeError as error:  # torch raises it if the file was removed after the check
        if "unable to open" not in str(error):
            raise
        raise DataError(f"cannot read {path}", str(error), path=path) from error
    except (SafetensorError, OSError, ValueError) as error:
        raise FormatError(
            f"{path} is damaged or truncated", str(error), hint="copy the model directory again", path=path
        ) from error
    if not (metadata.get("sha256") == _sha256(tensors) if metadata else _manifest_checksum_ok(path)):
        raise FormatError(
            f"{path} is damaged",
            "its tensors do not have the recorded checksum (SHA-256)",
            hint="copy the model directory again",
            path=path,
        )
    return tensors, metadata.get("facts", {})


def _manifest_checksum_ok(path: Path) -> bool:
    """Check a file against the manifest beside it: weights in `last/` have no checksum of their own."""
    if not (path.parent / manifest.NAME).exists():
        return False
    entry = manifest.load(path.parent / manifest.NAME).files.get(path.name)
    return entry is not None and entry.get("sha256") == manifest.sha256(path)


def copy_into(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copy tensors into a module.

    Raises:
        FormatError: Their names or shapes are not the module's.
    """
    check_shapes(module, tensors, path)
    for name, tensor in unique_tensors(module).items():
        tensor.copy_(tensors[name])


def check_shapes(module: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise FormatError if the names or shapes of tensors are not the module's."""
    expected = unique_tensors(module)
    for name in sorted(expected.keys() | tensors.keys()):
        if name not in expected or name not in tensors:
            problem = "not in the network of config.json" if name not in expected else "missing"
            raise FormatError(f"{path} does not fit its config.json", f"tensor {name} is {problem}", path=path)
        if expected[name].shape != tensors[name].shape:
            shapes = f"{tuple(tensors[name].shape)}, config.json expects {tuple(expected[name].shape)}"
            raise FormatError(f"{path} does not fit its config.json", f"tensor {name} is {shapes}", path=path)


def may_exceed_weights(shape: JsonMapping, tensors: Mapping[str, Tensor]) -> bool:
    """Estimate, without building it, whether a network could need far more memory than its weights.

    Each matrix has a vocabulary's size, or up to four times a layer's size, as a dimension, and a layer has few
    matrices.

    Args:
        shape: The `network` object of config.json.
        tensors: The weights.

    Raises:
        ValueError: The network has more layers than there are tensors.
    """
    numbers = {key: value for key, value in shape.items() if isinstance(value, int)}
    layers = sum(value for key, value in numbers.items() if "layers" in key)
    if layers > len(tensors):
        raise ValueError(f"it has {layers} layers, but the weights have {len(tensors)} tensors")
    sizes = ("embedding", "hidden", "inner", "word_vectors", "language_model_states", "language_model_projection")
    width = max((numbers.get(key, 0) for key in sizes), default=0)
    vocabulary = sum(numbers.get(key, 0) for key in ("vocabulary", "source_size", "target_size"))
    upper_bound = 4 * (2 * vocabulary * width + 32 * (layers + 1) * width**2)
    return upper_bound > max(_ALWAYS_ALLOWED_BYTES, 8 * sum(tensor.nbytes for tensor in tensors.values()))


def check_finite_weights(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise FormatError, naming the tensor, if a weight is NaN or infinite or has an unexpected dtype."""
    for name, tensor in tensors.items():
        if tensor.dtype not in _WEIGHT_DTYPES:
            raise FormatError(f"{path}: tensor {name} has dtype {tensor.dtype}, which is not a weight", path=path)
        if not torch.isfinite(tensor).all():
            raise FormatError(
                f"{path}: tensor {name} has values that are NaN or infinite",
                "training that diverged leaves such weights",
                hint="try another checkpoint: --checkpoint last or average",
                path=path,
            )


def average_weights(checkpoints: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Average the weights of several checkpoints, summed in float64."""
    return {
        name: torch.stack([checkpoint[name].double() for checkpoint in checkpoints]).mean(0).to(first.dtype)
        for name, first in checkpoints[0].items()
    }


def _sha256(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        if tensors[name].numel():  # torch cannot view an empty tensor as bytes
            digest.update(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
