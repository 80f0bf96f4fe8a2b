"""Word vectors: how they are trained, kept and asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnnkit.embeddings.vectors import Vectors

__all__ = ["Vectors"]


def __getattr__(name: str) -> Any:
    """`Vectors`, imported only when somebody asks for it: a page of help must not wait for numpy."""
    if name != "Vectors":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rnnkit.embeddings.vectors import Vectors

    return Vectors
