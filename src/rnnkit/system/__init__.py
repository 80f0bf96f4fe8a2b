"""The machine and the process: limits, platforms, the installation, the interpreter, worker processes."""
