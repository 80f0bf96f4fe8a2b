"""Commands that prepare text: tokens, vocabularies, aligned data, word alignments."""
