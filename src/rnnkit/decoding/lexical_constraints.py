"""Lexically constrained decoding: phrases that every output must contain (Hokamp and Liu 2017, arXiv:1704.07138).

An id sequence is met where its ids occur contiguously. A phrase of text has several spellings (`phrase_spellings.py`)
and is met where one of them occurs between word boundaries. Whether a spelling ends at a boundary depends on the next
token; until then the phrase is pending. It is also met if the output ends there.

No output ends before all phrases are met or pending. As soon as the remaining length just suffices for what is missing,
only tokens that lead there are allowed: with a maximum length of at least `Constraints.max_tokens`, every output
satisfies its constraints, whatever the search. `beam_selection.dynamic_beam_allocation` finds good positions for the
phrases long before that.

Matching is vectorized over the batch. A step compares all windows of all hypotheses with all spellings, in
O(B K T G N) time; the state of the matching is recomputed from the tokens, so constraints need no state of their own.

Shapes: B sentences, K hypotheses, T tokens so far, C phrases per sentence, G spellings per sentence, N tokens of the
longest spelling, W windows, one ending at each token, V vocabulary entries, M candidate tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnkit.decoding.phrase_spellings import ALWAYS, INSIDE, START, RequiredPhrase
from rnnkit.decoding.stepper import PartialHypotheses
from rnnkit.decoding.token_boundaries import INCOMPLETE, BatchEdges, EdgeSides, TokenEdge, edge_sides, is_boundary
from rnnkit.text import special_tokens
from rnnkit.text.unicode import BREAK

_NO_TOKEN, _BEFORE_START = -1, -2
"""Padding of spellings, and of outputs on the left; equal to no id and different from each other."""

_ANYWHERE_EDGE = TokenEdge(BREAK, BREAK, False, False)
"""Edge of an id sequence, which may occur anywhere."""

IdSequences = Sequence[Sequence[int]]


@dataclass(frozen=True)
class LexicalProgress:
    """How much of their constraints hypotheses have met.

    Attributes:
        met_BKC: Whether each phrase is met; True for padding.
        pending_BKC: Whether a spelling ends at the last token, so that the phrase is met if a word boundary follows.
        undecided_BKC: Whether a spelling is followed by bytes of an incomplete character.
        incomplete_bytes_BK: Number of these bytes; 0 if no phrase is undecided.
        started_BKGN: Whether the last n tokens are the first n of each spelling, for n from 0 to N - 1.
        trailing_BK: Trailing side of the last token.
    """

    met_BKC: Tensor
    pending_BKC: Tensor
    undecided_BKC: Tensor
    incomplete_bytes_BK: Tensor
    started_BKGN: Tensor
    trailing_BK: EdgeSides

    @property
    def met_at_end_BKC(self) -> Tensor:
        """Phrases that are met if the output ends here."""
        return self.met_BKC | self.pending_BKC | self.undecided_BKC


@dataclass(frozen=True)
class _SpellingEntry:
    """A spelling of one sentence.

    Attributes:
        ids: Its token ids.
        phrase: Index of its phrase in the sentence.
        edge: Its edge.
        anywhere: Whether it may occur anywhere, without word boundaries.
        at_start: Whether searches propose it at the start of an output.
        inside: Whether searches propose it elsewhere.
        max_tokens: Tokens that always suffice for its phrase.
    """

    ids: tuple[int, ...]
    phrase: int
    edge: TokenEdge
    anywhere: bool
    at_start: bool
    inside: bool
    max_tokens: int


def _list_entries(sequences: IdSequences, phrases: Sequence[RequiredPhrase]) -> list[_SpellingEntry]:
    """List the spellings of a sentence's constraints, id sequences first."""
    entries = [
        _SpellingEntry(tuple(ids), index, _ANYWHERE_EDGE, True, True, True, len(ids))
        for index, ids in enumerate(sequences)
    ]
    for index, phrase in enumerate(phrases, start=len(sequences)):
        anywhere = not phrase.edges.has_spaces
        for one in phrase.spellings:
            at_start, inside = one.placement in (ALWAYS, START), one.placement in (ALWAYS, INSIDE)
            entries.append(_SpellingEntry(one.ids, index, one.edge, anywhere, at_start, inside, phrase.max_tokens))
    return entries


def _tokens_after_match(match_BKW: Tensor) -> Tensor:
    """Count the tokens after the first match of each hypothesis (B, K)."""
    return (match_BKW * torch.arange(match_BKW.shape[2], 0, -1)).sum(-1)


class LexicalConstraints:
    """Lexical constraints of a batch; a `TokenConstraint`.

    Args:
        sequences: Id sequences of each sentence, none of them empty.
        phrases: Phrases of each sentence; empty if no sentence has any.
        right_to_left: Whether outputs are generated from their ends.
    """

    def __init__(
        self,
        sequences: Sequence[IdSequences],
        phrases: Sequence[Sequence[RequiredPhrase]] = (),
        right_to_left: bool = False,
    ) -> None:
        phrases = phrases or [()] * len(sequences)
        self._right_to_left = right_to_left
        count = max((len(ids) + len(texts) for ids, texts in zip(sequences, phrases, strict=True)), default=0)
        entries = [_list_entries(ids, texts) for ids, texts in zip(sequences, phrases, strict=True)]
        size, width = len(entries), max(map(len, entries), default=0)
        longest = max((len(entry.ids) for row in entries for entry in row), default=1)
        self.id_BGN = torch.full((size, width, longest), _NO_TOKEN)
        self._right_aligned_BGN = self.id_BGN.clone()
        self._length_BG = torch.zeros(size, width, dtype=torch.long)
        self._phrase_BG = torch.zeros(size, width, dtype=torch.long)
        self._anywhere_BG = torch.ones(size, width, dtype=torch.bool)
        self._start_BG, self._inside_BG = torch.zeros(2, size, width, dtype=torch.bool)
        self.max_tokens_BC = torch.zeros(size, count, dtype=torch.long)
        self.longest_BC = torch.zeros(size, count, dtype=torch.long)
        for sentence, row in enumerate(entries):
            for column, entry in enumerate(row):
                self._add(sentence, column, entry)
        edges = [[entry.edge for entry in row] + [_ANYWHERE_EDGE] * (width - len(row)) for row in entries]
        self._leading, self._trailing = edge_sides(edges, right_to_left)
        self._member_BGC = torch.nn.functional.one_hot(self._phrase_BG, max(count, 1))[..., :count].bool()
        self._member_BGC &= (self._length_BG > 0).unsqueeze(-1)
        self._edges: BatchEdges | None = None
        if any(phrases):
            vocabulary = next(texts[0].edges for texts in phrases if texts)
            oov = [texts[0].oov_edges if texts else None for texts in phrases]
            self._edges = BatchEdges(vocabulary, oov, right_to_left)
        self._cached: tuple[Tensor, LexicalProgress] | None = None

    def _add(self, sentence: int, column: int, entry: _SpellingEntry) -> None:
        ids, longest = torch.tensor(entry.ids), self.id_BGN.shape[2]
        self.id_BGN[sentence, column, : len(ids)] = ids
        self._right_aligned_BGN[sentence, column, longest - len(ids) :] = ids
        self._length_BG[sentence, column] = len(ids)
        self._phrase_BG[sentence, column] = entry.phrase
        self._anywhere_BG[sentence, column] = entry.anywhere
        self._start_BG[sentence, column], self._inside_BG[sentence, column] = entry.at_start, entry.inside
        self.max_tokens_BC[sentence, entry.phrase] = entry.max_tokens
        self.longest_BC[sentence, entry.phrase] = max(int(self.longest_BC[sentence, entry.phrase]), len(ids))

    def progress(self, partial: PartialHypotheses) -> LexicalProgress:
        """Compute the progress of hypotheses; the last result is cached, because a step needs it twice."""
        if self._cached is not None and self._cached[0] is partial.ids_BKT:
            return self._cached[1]
        ids_BKT, sentence_B = partial.ids_BKT[..., 1:], partial.sentence_B
        longest, length_BG = self.id_BGN.shape[2], self._length_BG[sentence_B]
        leading, trailing = self._output_sides(ids_BKT, sentence_B)
        can_start_BKSG = self._can_start(trailing, sentence_B)
        padded_BKT = torch.nn.functional.pad(ids_BKT, (longest, 0), value=_BEFORE_START)
        window_BKW1N = padded_BKT.unfold(-1, longest, 1)[:, :, 1:].unsqueeze(3)
        spelling_B11GN = self._right_aligned_BGN[sentence_B][:, None, None]
        match_BKWG = ((window_BKW1N == spelling_B11GN) | (spelling_B11GN == _NO_TOKEN)).all(-1)
        match_BKWG &= (length_BG > 0)[:, None, None]
        start_BKWG = (torch.arange(1, ids_BKT.shape[2] + 1).view(1, 1, -1, 1) - length_BG[:, None, None]).clamp_min(0)
        match_BKWG &= can_start_BKSG.gather(2, start_BKWG.expand_as(match_BKWG))
        met_BKG, pending_BKG, undecided_BKWG = self._classify_matches(match_BKWG, leading, sentence_B)
        started_BKGN = self._match_starts(ids_BKT, can_start_BKSG, sentence_B)
        met_BKC = self._any_spelling(met_BKG, sentence_B) | (self.longest_BC[sentence_B] == 0).unsqueeze(1)
        progress = LexicalProgress(
            met_BKC,
            self._any_spelling(pending_BKG, sentence_B) & ~met_BKC,
            self._any_spelling(undecided_BKWG.any(2), sentence_B) & ~met_BKC,
            _tokens_after_match(undecided_BKWG.any(-1)),
            started_BKGN & ~self._to_spellings(met_BKC, sentence_B).unsqueeze(-1),
            trailing[:, :, -1],
        )
        self._cached = partial.ids_BKT, progress
        return progress

    def next_tokens(self, progress: LexicalProgress, sentence_B: Tensor, at_start: bool) -> tuple[Tensor, Tensor]:
        """Propose the tokens that continue the spellings.

        If a spelling of a phrase has been started, only started spellings of the phrase are continued.

        Returns:
            Ids (B, K, G), padding for spellings without a proposal, and the number of tokens already generated of each.
        """
        proposed_BG = (self._start_BG if at_start else self._inside_BG)[sentence_B]
        started_BKGN, longest = progress.started_BKGN, self.id_BGN.shape[2]
        depth_BKG = (started_BKGN * torch.arange(longest)).amax(-1)
        under_way_BKG = self._to_spellings(self._any_spelling(depth_BKG > 0, sentence_B), sentence_B)
        continues_BKG = (depth_BKG > 0) | (started_BKGN[..., 0] & ~under_way_BKG & proposed_BG.unsqueeze(1))
        continues_BKG &= ~self._to_spellings(progress.met_at_end_BKC, sentence_B)
        id_BKGN = self.id_BGN[sentence_B].unsqueeze(1).expand(*depth_BKG.shape, -1)
        next_BKG = id_BKGN.gather(-1, depth_BKG.unsqueeze(-1)).squeeze(-1)
        return torch.where(continues_BKG, next_BKG, special_tokens.PAD), depth_BKG

    def bank(self, progress: LexicalProgress, token_BKM: Tensor, sentence_B: Tensor) -> Tensor:
        """Return the bank of each candidate (B, K, M): the number of constraint tokens that it has met.

        Of the spellings under way only the longest counts.
        """
        id_B11GN = self.id_BGN[sentence_B][:, None, None]
        extended_BKMGN = progress.started_BKGN.unsqueeze(2) & (token_BKM[..., None, None] == id_B11GN)
        depth_BKMG = (extended_BKMGN * torch.arange(1, self.id_BGN.shape[2] + 1)).amax(-1)
        complete_BKMG = depth_BKMG == self._length_BG[sentence_B][:, None, None]
        member_B1GC = self._member_BGC[sentence_B].unsqueeze(1)
        complete_BKMC = (complete_BKMG.unsqueeze(-1) & member_B1GC.unsqueeze(1)).any(-2)
        closes_BKM = self._has_boundary_before(progress, token_BKM, sentence_B, if_incomplete=True)
        closed_BKMC = progress.pending_BKC.unsqueeze(2) & closes_BKM.unsqueeze(-1)
        kept_BKMC = (progress.met_BKC | progress.undecided_BKC).unsqueeze(2)
        met_BKMC = complete_BKMC | closed_BKMC | kept_BKMC
        unmet_BKMG = ~(met_BKMC.unsqueeze(-2) & member_B1GC.unsqueeze(1)).any(-1)
        partly_BKM = (depth_BKMG * unmet_BKMG).amax(-1)
        return (self.longest_BC[sentence_B][:, None, None] * met_BKMC).sum(-1) + partly_BKM

    def apply_mask(self, allowed_BKV: Tensor, partial: PartialHypotheses) -> None:
        """See `TokenConstraint.apply_mask`. If other constraints forbid every token, missing phrases are forced."""
        ids_BKT, sentence_B = partial.ids_BKT[..., 1:], partial.sentence_B
        progress = self.progress(partial)
        device = allowed_BKV.device
        may_end_BK = progress.met_at_end_BKC.all(-1)
        allowed_BKV[..., special_tokens.EOS] &= may_end_BK.to(device)
        max_tokens_B1C, unmet_BKC = self.max_tokens_BC[sentence_B].unsqueeze(1), ~progress.met_BKC
        missing_BK = (max_tokens_B1C * unmet_BKC).sum(-1)
        remaining_B1 = (partial.limit_B - ids_BKT.shape[2] - 1).unsqueeze(1)
        forced_BK = unmet_BKC.any(-1) & ((remaining_B1 <= missing_BK) | ~allowed_BKV.any(-1).cpu())
        if not forced_BK.any():
            return
        next_BKG, depth_BKG = self.next_tokens(progress, sentence_B, not ids_BKT.shape[2])
        # A token after a word boundary meets the pending phrases; any other started spelling is counted in full.
        pending_BK = (max_tokens_B1C * progress.pending_BKC).sum(-1)
        rest_BKG = self._length_BG[sentence_B].unsqueeze(1) - depth_BKG - 1
        own_BG = self.max_tokens_BC[sentence_B].gather(1, self._phrase_BG[sentence_B])
        others_BKG = missing_BK.unsqueeze(-1) - own_BG.unsqueeze(1)
        others_BKG = others_BKG - pending_BK.unsqueeze(-1) * self._closes_pending(
            progress, next_BKG, depth_BKG, sentence_B
        )
        # An undecided phrase is met by a spelling that starts with the incomplete character.
        decides_BKG = (depth_BKG > 0) & (depth_BKG == progress.incomplete_bytes_BK.unsqueeze(-1))
        others_BKG = others_BKG - (max_tokens_B1C * progress.undecided_BKC).sum(-1, keepdim=True) * decides_BKG
        fits_BKG = (remaining_B1 - 1).unsqueeze(-1) >= others_BKG + rest_BKG
        only_BKV = torch.zeros_like(allowed_BKV)
        only_BKV.scatter_(-1, torch.where(fits_BKG, next_BKG, special_tokens.PAD).to(device), True)
        only_BKV[..., special_tokens.PAD] = False
        only_BKV[..., special_tokens.EOS] = allowed_BKV[..., special_tokens.EOS]
        if self._edges is not None:
            self._allow_bridges(self._edges, only_BKV, allowed_BKV, progress, sentence_B, forced_BK)
        allowed_BKV.copy_(torch.where(forced_BK.to(device).unsqueeze(-1), only_BKV, allowed_BKV))

    def _allow_bridges(
        self,
        edges: BatchEdges,
        only_BKV: Tensor,
        allowed_BKV: Tensor,
        progress: LexicalProgress,
        sentence_B: Tensor,
        forced_BK: Tensor,
    ) -> None:
        """Allow tokens between phrases.

        These are tokens that meet all pending phrases if nothing else is missing, and, where no spelling can continue,
        tokens after which one can start.
        """
        none_BK = ~only_BKV.any(-1).cpu()
        only_pending_BK = progress.met_at_end_BKC.all(-1) & ~progress.undecided_BKC.any(-1)
        index_N, row_N = (forced_BK & (none_BK | only_pending_BK)).nonzero(as_tuple=True)
        if not len(index_N):
            return
        leading_NV, trailing_NV = edges.of_vocabulary(sentence_B[index_N], only_BKV.shape[-1])
        last_N1 = progress.trailing_BK[index_N, row_N][:, None]
        closes_NV = ~(last_N1.joins | leading_NV.joins) | self._is_boundary(last_N1.kind, leading_NV.kind)
        closes_NV |= ~progress.pending_BKC[index_N, row_N].any(-1, keepdim=True)
        met_NG = self._to_spellings(progress.met_at_end_BKC, sentence_B)[index_N, row_N]
        open_NG = ~met_NG & self._inside_BG[sentence_B[index_N]] & (self._length_BG[sentence_B[index_N]] > 0)
        leads_NV = torch.zeros_like(closes_NV)
        for spelling in open_NG.any(0).nonzero().flatten().tolist():
            first_N1 = self._leading[sentence_B[index_N], spelling][:, None]
            starts_NV = ~(first_N1.joins | trailing_NV.joins) | self._is_boundary(trailing_NV.kind, first_N1.kind)
            leads_NV |= starts_NV & open_NG[:, spelling : spelling + 1]
        more_NV = closes_NV & (only_pending_BK[index_N, row_N].unsqueeze(1) | leads_NV)
        index_N, row_N = index_N.to(only_BKV.device), row_N.to(only_BKV.device)
        only_BKV[index_N, row_N] |= allowed_BKV[index_N, row_N] & more_NV.to(only_BKV.device)

    def _closes_pending(
        self, progress: LexicalProgress, next_BKG: Tensor, depth_BKG: Tensor, sentence_B: Tensor
    ) -> Tensor:
        """Return whether there is a word boundary before the token that continues each spelling."""
        if self._edges is None:
            return torch.ones_like(next_BKG, dtype=torch.bool)
        # A spelling that may start here follows a boundary; inside a spelling the edges of the tokens decide.
        return (depth_BKG == 0) | self._has_boundary_before(progress, next_BKG, sentence_B, if_incomplete=False)

    def _has_boundary_before(
        self, progress: LexicalProgress, token_BKM: Tensor, sentence_B: Tensor, if_incomplete: bool
    ) -> Tensor:
        """Return whether there is a word boundary between each hypothesis and the candidate tokens."""
        if self._edges is None:
            return torch.ones_like(token_BKM, dtype=torch.bool)
        leading, _ = self._edges.of_tokens(token_BKM, sentence_B)
        last = progress.trailing_BK[:, :, None]
        return ~(last.joins | leading.joins) | self._is_boundary(last.kind, leading.kind, if_incomplete)

    def _output_sides(self, ids_BKT: Tensor, sentence_B: Tensor) -> tuple[EdgeSides, EdgeSides]:
        """Return leading and trailing sides of the tokens so far, BOS first (B, K, T + 1)."""
        if self._edges is None:
            zeros = torch.zeros(*ids_BKT.shape[:2], ids_BKT.shape[2] + 1, dtype=torch.long)
            return (EdgeSides(zeros, zeros.bool()),) * 2
        return self._edges.of_outputs(ids_BKT, sentence_B)

    def _can_start(self, trailing: EdgeSides, sentence_B: Tensor) -> Tensor:
        """Return whether each spelling may start after each token, BOS first (B, K, T + 1, G)."""
        leading = self._leading[sentence_B][:, None, None]
        spaced = ~(trailing.joins.unsqueeze(-1) | leading.joins)
        boundary = self._is_boundary(trailing.kind.unsqueeze(-1), leading.kind)
        return spaced | boundary | self._anywhere_BG[sentence_B][:, None, None]

    def _classify_matches(
        self, match_BKWG: Tensor, leading: EdgeSides, sentence_B: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return which spellings are met and pending (B, K, G), and which matches are undecided (B, K, W, G)."""
        anywhere_BG = self._anywhere_BG[sentence_B]
        met_BKG = (match_BKWG & anywhere_BG[:, None, None]).any(2)
        if self._edges is None or not match_BKWG.shape[2]:
            return met_BKG, torch.zeros_like(met_BKG), torch.zeros_like(match_BKWG)
        trailing, following = self._trailing[sentence_B][:, None, None], leading[:, :, 2:][..., None]
        inside_BKWG = match_BKWG[:, :, :-1]
        spaced = ~(trailing.joins | following.joins)
        ends = spaced | self._is_boundary(trailing.kind, following.kind)
        met_BKG |= (inside_BKWG & ends).any(2)
        undecided_BKWG = inside_BKWG & ~spaced & (following.kind == INCOMPLETE)
        return met_BKG, match_BKWG[:, :, -1] & ~anywhere_BG.unsqueeze(1), undecided_BKWG

    def _match_starts(self, ids_BKT: Tensor, can_start_BKSG: Tensor, sentence_B: Tensor) -> Tensor:
        """Compute `LexicalProgress.started_BKGN`, met phrases included."""
        id_B1GN, length_B1G = self.id_BGN[sentence_B].unsqueeze(1), self._length_BG[sentence_B].unsqueeze(1)
        longest, length = self.id_BGN.shape[2], ids_BKT.shape[2]
        started = [can_start_BKSG[:, :, length] & (length_B1G > 0)]
        for count in range(1, longest):
            if count > length:
                started.append(torch.zeros_like(started[0]))
                continue
            same_BKG = (ids_BKT[:, :, None, -count:] == id_B1GN[..., :count]).all(-1)
            started.append(same_BKG & (count < length_B1G) & can_start_BKSG[:, :, length - count])
        return torch.stack(started, dim=-1)

    def _is_boundary(self, before: Tensor, after: Tensor, if_incomplete: bool = False) -> Tensor:
        """Return whether there is a word boundary between boundary classes in the order of generation."""
        left, right = (after, before) if self._right_to_left else (before, after)
        return is_boundary(left, right, if_incomplete)

    def _any_spelling(self, of_BKG: Tensor, sentence_B: Tensor) -> Tensor:
        """Reduce a property of spellings to one of phrases: whether any spelling has it (B, K, C)."""
        return (of_BKG.unsqueeze(-1) & self._member_BGC[sentence_B].unsqueeze(1)).any(-2)

    def _to_spellings(self, of_BKC: Tensor, sentence_B: Tensor) -> Tensor:
        """Expand a property of phrases to their spellings (B, K, G)."""
        return (of_BKC.unsqueeze(-2) & self._member_BGC[sentence_B].unsqueeze(1)).any(-1)
