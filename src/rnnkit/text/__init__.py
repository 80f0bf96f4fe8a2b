"""Text: the line reader, tokenizers, vocabularies, special tokens, token files. No torch."""
