"""Ways to cut a line into tokens and to put it together again, one file a kind."""

from rnnkit.text.tokenizers.store import load_tokenizer, save_tokenizer
from rnnkit.text.tokenizers.tokenizer import Tokenizer

__all__ = ["Tokenizer", "load_tokenizer", "save_tokenizer"]
