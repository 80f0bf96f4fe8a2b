"""The machine and the process: resource limits, the installation, the interpreter, worker processes."""
