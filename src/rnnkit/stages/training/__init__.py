"""Commands that train networks, n-gram models and word vectors."""
