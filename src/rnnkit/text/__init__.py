"""The one line reader, tokenizers, vocabulary, special symbols. No torch."""
