"""Readers of tables and annotated corpora."""
