"""How the options of a command are declared and recorded; the command line itself is in `rnnkit.cli`."""
