"""Commands that train and query word vectors."""
