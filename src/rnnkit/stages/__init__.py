"""The Python API: one file a command, `run(options) -> result`. Files in, files out, no printing."""
