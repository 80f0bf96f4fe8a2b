"""Compiled kernels for the CPU: what torch does step by step, or not on all cores at once.

From the bottom up: vector registers (`lanes`), functions of them (`activations`), small products in registers (`tile`,
`products`), threads (`team`), and the steps of layers (`recurrent`, `mingru`). Each has its plain counterpart in torch,
and tests hold the two together. Nothing here knows of autograd.
"""
