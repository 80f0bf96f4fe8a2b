r"""ARPA files, the text format in which n-gram models are exchanged.

    \data\
    ngram 1=5                             number of n-grams of each order
    ngram 2=7

    \1-grams:
    -1.2041199<TAB>the<TAB>-0.30103       log-probability, words, log back-off weight
    ...

    \2-grams:
    -0.47712126<TAB>the cat               no back-off weight in the highest order; elsewhere it is optional
    ...

    \end\

Logarithms are to base 10. `arpa_writer` writes these files, `arpa_reader` reads them strictly and `arpa_repair`
leniently; `arpa_text` reads lines, and `arpa_words` maps the words to ids.
"""
