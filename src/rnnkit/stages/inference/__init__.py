"""Commands that run a trained model, or query word vectors."""
