"""Everything compiled: kernels for the CPU, the code that compiles and caches them, and their dispatch.

A kernel replaces what torch or NumPy does in several passes, in Python loops, or on one core only. Each has a readable
reference, and tests compare the two. Kernels are not differentiable; autograd functions in `rnnkit.nn` combine forward
and backward kernels. `docs/kernels.md` explains the design and how to add a kernel.

    compiler, kernel_cache       compilation by Numba and its disk cache
    dispatch                     which kernels suit this processor and these tensors

Neural networks, on tensors by address, on torch's threads:

    openmp, threads              torch's OpenMP runtime; running a kernel on its threads
    simd, activations            vectors of sixteen float32 lanes; exp, sigmoid and tanh of them
    gemm                         matrix products of few rows
    recurrent_sequence           RNN, LSTM and GRU over whole sequences, forward and backward
    recurrent_step               one step of them, for decoding
    mingru_scan                  minGRU over whole sequences, forward and backward
    attention_step, topk         attention of few queries, and top-k of logits, for decoding
    quantization                 the passes around int8 products

Word vectors, n-grams and word alignment, on NumPy arrays, without torch:

    skip_gram, cbow              updates of one window; word2vec_chunk runs them over a chunk of text
    negative_sampling            and logistic_loss, row_cache, splitmix, word_vector_simd: their parts
    word2vec_reference           the same in plain loops
    word_hash_table              ids of words; ngram_hashing, buckets of character n-grams
    counting_sort, ngram_trie    n-gram counts, and look-up in a back-off model; arpa_entries, ARPA files
    ibm2_expectation             expected counts of the diagonal model; hmm_forward_backward, of the HMM
    word_pair_table, grow_diag   lexical translation table; symmetrization
"""
