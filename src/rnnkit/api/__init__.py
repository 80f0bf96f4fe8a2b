"""The Python API: models loaded from a path, with methods on strings and lists.

`import rnnkit` gives all of it; a name is imported at its first use, so that the import itself is instant.
"""
