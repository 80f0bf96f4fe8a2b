"""Neural network parts: cells as equations, their fused layers, attention, dropout, losses. No I/O."""
