"""New."""


@kernel
def counting_sort(order_M: Int32Array, key_P: Int32Array, keys: int) -> tuple[Int32Array, Int32Array]:
    """Counting sort of positions by key; those whose key is negative are left out.

    Args:
        order_M: Positions in the order that equal keys keep.
        key_P: Key of each position.
        keys: One more than the greatest key.

    Returns:
        The positions sorted, and where each key begins among them, shape (keys + 1,).
    """
    begins = np.zeros(keys + 1, dtype=np.int32)
    for position in order_M:
        if key_P[position] >= 0:
            begins[key_P[position] + 1] += 1
    for key in range(keys):
        begins[key + 1] += begins[key]
    place = begins[:-1].copy()
    result = np.empty(begins[keys], dtype=np.int32)
    for position in order_M:
        key = key_P[position]
        if key >= 0:
            result[place[key]] = position
            place[key] += 1
    return result, begins


@kernel
def group_ngrams(
    sorted_M: Int32Array,
    text_P: Int32Array,
    context_P: Int32Array,
    suffix_P: Int32Array,
    begins_C1: Int32Array,
    ngram_P: Int32Array,
) -> tuple[Int32Array, Int32Array, Int32Array, Int32Array]:
    """Number the n-grams: neighbours with equal context and word are one.

    Args:
        sorted_M: Positions sorted by context, then word.
        text_P: Words.
        context_P: Context of the n-gram that ends at each position.
        suffix_P: The same n-gram without its first word.
        begins_C1: Where each context begins in `sorted_M`.
        ngram_P: Filled with the number of each position's n-gram.

    Returns:
        Words, suffixes and counts of the n-grams, and where each context's n-grams begin.
    """
    total = 0
    for index in range(len(sorted_M)):
        here, before = sorted_M[index], sorted_M[index - 1]
        if index == 0 or text_P[here] != text_P[before] or context_P[here] != context_P[before]:
            total += 1
    word_N = np.empty(total, dtype=np.int32)
    suffix_N = np.empty(total, dtype=np.int32)
    count_N = np.zeros(total, dtype=np.int32)
    begins = np.empty(len(begins_C1), dtype=np.int32)
    number = -1
    for context in range(len(begins_C1) - 1):
        begins[context] = number + 1
        for index in range(begins_C1[context], begins_C1[context + 1]):
            position = sorted_M[index]
            if index == begins_C1[context] or text_P[position] != word_N[number]:
                number += 1
                word_N[number] = text_P[position]
                suffix_N[number] = suffix_P[position]
            count_N[number] += 1
            ngram_P[position] = number
    begins[len(begins_C1) - 1] = total
    return word_N, suffix_N, count_N, begins
