"""Training of word vectors with word2vec and fastText: corpus, vocabulary, model, and the multi-threaded trainer."""
