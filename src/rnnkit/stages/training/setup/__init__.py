"""Set-up of a training run: inputs, initial weights, run directory and trainer."""
