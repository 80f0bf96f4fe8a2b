"""Training of word vectors: corpus, vocabulary, model and the multi-threaded trainer."""
