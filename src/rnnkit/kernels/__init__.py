"""Compiled kernels for the CPU: what torch does step by step, or not on all cores at once.

From the bottom up: threads (`team`), vector registers (`lanes`) as the `processor` has them, functions of them
(`activations`), small products in registers (`tile`, `products`), and the steps of layers (`recurrent`, `mingru`). Each
has its plain counterpart in torch, and tests hold the two together. Nothing here knows of autograd.
"""
