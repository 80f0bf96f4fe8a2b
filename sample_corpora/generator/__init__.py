"""Grammars that write the sample corpora: one for each corpus, and the lexicon and inflection they share."""
