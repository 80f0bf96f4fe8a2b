"""Tokenizers: split a line into tokens, and join tokens to a line."""

from rnnkit.text.tokenizers.store import load_tokenizer, save_tokenizer
from rnnkit.text.tokenizers.tokenizer import Tokenizer

__all__ = ["Tokenizer", "load_tokenizer", "save_tokenizer"]
