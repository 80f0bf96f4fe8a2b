"""The command line: parse, call a stage, print. Nothing else in the project talks to the console."""
