"""Everything compiled: kernels for the CPU, the code that compiles and caches them, and their dispatch.

A kernel replaces what torch or NumPy does in several passes, in Python loops, or on one core only. Each has a readable
reference, and tests compare the two. Kernels are not differentiable; autograd functions in `rnnkit.nn` combine forward
and backward kernels. `docs/kernels.md` explains the design and how to add a kernel.

    compiler, kernel_cache       compilation by Numba and its disk cache
    dispatch                     which kernels suit this processor and these tensors

Neural networks, on tensors by address, on torch's threads:

    threads                      running a kernel on torch's threads
    simd                         vectors of sixteen float32 lanes; exp, sigmoid and tanh of them
    gemm                         matrix products of few rows, and the passes around int8 products
    recurrent_sequence           RNN, LSTM, GRU and minGRU over whole sequences, forward and backward
    crf_forward_backward         loss, gradient and marginals of linear-chain CRFs; crf_viterbi, best label sequences
    array_views                  arrays by address, for kernels in plain loops
    decoder_step                 one step of decoding: recurrent cell, attention of few queries, top k of logits

Word vectors, linear classifiers, n-grams and word alignment, on NumPy arrays, without torch:

    word2vec_chunk               training on a chunk of text; word2vec_reference, the same in plain loops
    word2vec_updates             the update of one window in skip-gram and CBOW, with loss and gradient
    negative_sampling            subsampling, noise words and random numbers
    word2vec_weights             weight matrices and row caches; word_vector_simd, vectors of float32
    word_hashing                 ids of words, and hashes of n-grams of characters and words
    linear_classifier            training and scores of linear text classifiers; linear_classifier_reference, in NumPy
    classified_texts             features of texts
    thread_barrier               a barrier for threads that run a kernel together
    ngram_trie                   n-gram counts, and look-up in a back-off model; arpa_entries, ARPA files
    ibm2_expectation             expected counts of the diagonal model; hmm_forward_backward, of the HMM
    word_alignment               lexical translation table; symmetrization
"""
