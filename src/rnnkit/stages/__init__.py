"""What the commands do: one file a command, `run(options) -> result`. Files in, files out, no printing."""
