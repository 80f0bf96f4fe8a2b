"""Readers of tables and annotated corpora: TSV, CSV, JSON Lines, CoNLL columns, CoNLL-U, fastText `__label__` lines."""
