"""Everything compiled: kernels for the CPU, the code that compiles and caches them, and their dispatch.

A kernel replaces what torch does in several passes, in Python loops, or on one core only. Each has a readable reference
in the package that calls it, and tests compare the two. Kernels are not differentiable; autograd functions in
`rnnkit.nn` combine forward and backward kernels. `docs/kernels.md` explains the design and how to add a kernel.

From the bottom up:

    compiler, kernel_cache       compilation by Numba and its disk cache
    openmp, threads              torch's OpenMP runtime; running a kernel on its threads
    simd, activations            vectors of sixteen float32 lanes; exp, sigmoid and tanh of them
    gemm                         matrix products of few rows
    recurrent_sequence           RNN, LSTM and GRU over whole sequences, forward and backward
    recurrent_step               one step of them, for decoding
    mingru_scan                  minGRU over whole sequences, forward and backward
    attention_step, topk         attention of few queries, and top-k of logits, for decoding
    quantization                 the passes around int8 products
    dispatch                     which kernels suit this processor and these tensors
"""
