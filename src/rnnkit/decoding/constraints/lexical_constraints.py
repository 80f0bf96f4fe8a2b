"""Lexical constraints: phrases that every output of a sentence must have in it, whatever the search.

A token sequence that is asked for is met where its tokens stand in a row. A phrase of text can be written in several
ways (`phrases.py`), and is met where one of them stands between word boundaries: whether its end is one is decided by
the token behind it, so that until then the phrase is open. It is met too if the output ends there.

Until all are met or open an output does not end, and as soon as the tokens that are left are just enough for what is
missing, nothing else may be said: with a limit of at least `Wish.room`, every output meets its constraints.
`selection.evenly` lets a beam find good places for them long before that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnkit.decoding.constraints.phrase_spellings import ALWAYS, INSIDE, START, RequiredPhrase
from rnnkit.decoding.constraints.token_boundaries import (
    INCOMPLETE,
    BatchEdges,
    EdgeSides,
    TokenEdge,
    edge_sides,
    is_boundary,
)
from rnnkit.decoding.stepper import PartialHypotheses
from rnnkit.text import special_tokens
from rnnkit.text.word_boundaries import BREAK

_NO_TOKEN, _BEFORE_START = -1, -2
"""What stands where a spelling has no token, and before the first token of an output; they equal nothing."""

_ANYWHERE_EDGE = TokenEdge(BREAK, BREAK, False, False)
"""What a token sequence that may stand anywhere shows to its neighbours."""

TokenSequences = Sequence[Sequence[int]]


@dataclass(frozen=True)
class LexicalProgress:
    """How far rows are with their phrases.

    Attributes:
        met_BKC: Whether each phrase is met; also where there is none.
        open_BKC: Whether a spelling stands at the row's end and the phrase is met if a word boundary follows.
        unclear_BKC: Whether a spelling is followed by bytes that are not a whole character yet.
        bytes_BK: How many these are; 0 where nothing is unclear.
        begun_BKGN: Whether the first n tokens of each spelling stand at the row's end, for n from 0 to below N.
        behind: What each row's last token shows to the next one (B, K).
    """

    met_BKC: Tensor
    open_BKC: Tensor
    unclear_BKC: Tensor
    bytes_BK: Tensor
    begun_BKGN: Tensor
    behind: EdgeSides

    @property
    def written_BKC(self) -> Tensor:
        """Phrases that are met if the output ends here."""
        return self.met_BKC | self.open_BKC | self.unclear_BKC


@dataclass(frozen=True)
class _SpellingEntry:
    """A spelling in its batch.

    Attributes:
        ids: Its tokens.
        phrase: Number of its phrase in the sentence.
        edge: What it shows.
        given: Whether it may stand anywhere.
        at_start: Whether it is offered as the beginning of an output.
        inside: Whether it is offered elsewhere.
        room: Tokens that its phrase takes at most.
    """

    ids: tuple[int, ...]
    phrase: int
    edge: TokenEdge
    given: bool
    at_start: bool
    inside: bool
    room: int


def _list_entries(given: TokenSequences, texts: Sequence[RequiredPhrase]) -> list[_SpellingEntry]:
    """The spellings of a sentence's phrases, token sequences first."""
    found = [
        _SpellingEntry(tuple(ids), place, _ANYWHERE_EDGE, True, True, True, len(ids)) for place, ids in enumerate(given)
    ]
    for place, phrase in enumerate(texts, start=len(given)):
        anywhere = not phrase.edges.spaced
        for one in phrase.spellings:
            at_start, inside = one.offered in (ALWAYS, START), one.offered in (ALWAYS, INSIDE)
            found.append(_SpellingEntry(one.ids, place, one.edge, anywhere, at_start, inside, phrase.room))
    return found


def _tokens_after_match(unclear_BKW: Tensor) -> Tensor:
    """Tokens behind the first place at which something is not clear yet (B, K)."""
    return (unclear_BKW * torch.arange(unclear_BKW.shape[2], 0, -1)).sum(-1)


class LexicalConstraints:
    """The phrases of a batch.

    Args:
        given: For each sentence its token sequences, each of at least one id.
        texts: For each sentence its phrases of text; none, unless given.
        backwards: Whether outputs are said from their ends.
    """

    def __init__(
        self, given: Sequence[TokenSequences], texts: Sequence[Sequence[RequiredPhrase]] = (), backwards: bool = False
    ) -> None:
        texts = texts or [()] * len(given)
        self._backwards = backwards
        self._free = not any(texts)
        count = max((len(some) + len(many) for some, many in zip(given, texts, strict=True)), default=0)
        rows = [_list_entries(some, many) for some, many in zip(given, texts, strict=True)]
        width, longest = max(map(len, rows), default=0), max((len(one.ids) for row in rows for one in row), default=1)
        self.id_BGN = torch.full((len(rows), width, longest), _NO_TOKEN)
        self._flush_BGN = self.id_BGN.clone()  # the same at the right
        self._length_BG = torch.zeros(len(rows), width, dtype=torch.long)
        self._phrase_BG = torch.zeros(len(rows), width, dtype=torch.long)
        self._given_BG = torch.ones(len(rows), width, dtype=torch.bool)
        self._start_BG, self._inside_BG = torch.zeros(2, len(rows), width, dtype=torch.bool)
        self.room_BC = torch.zeros(len(rows), count, dtype=torch.long)
        self.tokens_BC = torch.zeros(len(rows), count, dtype=torch.long)
        for row, many in enumerate(rows):
            for column, one in enumerate(many):
                self._enter(row, column, one)
        edges = [[one.edge for one in many] + [_ANYWHERE_EDGE] * (width - len(many)) for many in rows]
        self._into, self._out_of = edge_sides(edges, backwards)
        self._member_BGC = torch.nn.functional.one_hot(self._phrase_BG, max(count, 1))[..., :count].bool()
        self._member_BGC &= (self._length_BG > 0).unsqueeze(-1)
        self._tokens: BatchEdges | None = None
        if not self._free:
            vocabulary = next(many[0].edges for many in texts if many)
            self._tokens = BatchEdges(vocabulary, [many[0].own if many else None for many in texts], backwards)
        self._last: tuple[Tensor, LexicalProgress] | None = None

    def _enter(self, row: int, column: int, one: _SpellingEntry) -> None:
        ids, longest = torch.tensor(one.ids), self.id_BGN.shape[2]
        self.id_BGN[row, column, : len(ids)] = ids
        self._flush_BGN[row, column, longest - len(ids) :] = ids
        self._length_BG[row, column] = len(ids)
        self._phrase_BG[row, column] = one.phrase
        self._given_BG[row, column] = one.given
        self._start_BG[row, column], self._inside_BG[row, column] = one.at_start, one.inside
        self.room_BC[row, one.phrase] = one.room
        self.tokens_BC[row, one.phrase] = max(int(self.tokens_BC[row, one.phrase]), len(ids))

    def progress(self, said: PartialHypotheses) -> LexicalProgress:
        """How far rows are. Of the rows that were asked for last it is known."""
        if self._last is not None and self._last[0] is said.ids_BKT:
            return self._last[1]
        ids_BKT, sentence_B = said.ids_BKT[..., 1:], said.sentence_B
        longest, length_BG = self.id_BGN.shape[2], self._length_BG[sentence_B]
        into, out_of = self._neighbours(ids_BKT, sentence_B)
        may_start_BKSG = self._may_start(out_of, sentence_B)
        padded_BKT = torch.nn.functional.pad(ids_BKT, (longest, 0), value=_BEFORE_START)
        window_BKW1N = padded_BKT.unfold(-1, longest, 1)[:, :, 1:].unsqueeze(3)
        phrase_B11GN = self._flush_BGN[sentence_B][:, None, None]
        match_BKWG = ((window_BKW1N == phrase_B11GN) | (phrase_B11GN == _NO_TOKEN)).all(-1)
        match_BKWG &= (length_BG > 0)[:, None, None]
        begin_BKWG = (torch.arange(1, ids_BKT.shape[2] + 1).view(1, 1, -1, 1) - length_BG[:, None, None]).clamp_min(0)
        match_BKWG &= may_start_BKSG.gather(2, begin_BKWG.expand_as(match_BKWG))
        met_BKG, open_BKG, unclear_BKWG = self._judge(match_BKWG, into, sentence_B)
        begun_BKGN = self._begun(ids_BKT, may_start_BKSG, sentence_B)
        met_BKC = self._any(met_BKG, sentence_B) | (self.tokens_BC[sentence_B] == 0).unsqueeze(1)
        found = LexicalProgress(
            met_BKC,
            self._any(open_BKG, sentence_B) & ~met_BKC,
            self._any(unclear_BKWG.any(2), sentence_B) & ~met_BKC,
            _tokens_after_match(unclear_BKWG.any(-1)),
            begun_BKGN & ~self._each(met_BKC, sentence_B).unsqueeze(-1),
            out_of[:, :, -1],
        )
        self._last = said.ids_BKT, found
        return found

    def wanted(self, progress: LexicalProgress, sentence_B: Tensor, at_start: bool) -> tuple[Tensor, Tensor]:
        """The token that continues each spelling (B, K, G), padding where there is none, and how far it is begun.

        A phrase that is begun is continued; the others begin.
        """
        offered_BG = (self._start_BG if at_start else self._inside_BG)[sentence_B]
        begun_BKGN, longest = progress.begun_BKGN, self.id_BGN.shape[2]
        depth_BKG = (begun_BKGN * torch.arange(longest)).amax(-1)
        under_way_BKG = self._each(self._any(depth_BKG > 0, sentence_B), sentence_B)
        goes_on_BKG = (depth_BKG > 0) | (begun_BKGN[..., 0] & ~under_way_BKG & offered_BG.unsqueeze(1))
        goes_on_BKG &= ~self._each(progress.written_BKC, sentence_B)
        id_BKGN = self.id_BGN[sentence_B].unsqueeze(1).expand(*depth_BKG.shape, -1)
        next_BKG = id_BKGN.gather(-1, depth_BKG.unsqueeze(-1)).squeeze(-1)
        return torch.where(goes_on_BKG, next_BKG, special_tokens.PAD), depth_BKG

    def bank(self, progress: LexicalProgress, token_BKM: Tensor, sentence_B: Tensor) -> Tensor:
        """Tokens of phrases that each candidate (B, K, M) has met; of what is under way the longest counts."""
        id_B11GN = self.id_BGN[sentence_B][:, None, None]
        grown_BKMGN = progress.begun_BKGN.unsqueeze(2) & (token_BKM[..., None, None] == id_B11GN)
        depth_BKMG = (grown_BKMGN * torch.arange(1, self.id_BGN.shape[2] + 1)).amax(-1)
        done_BKMG = depth_BKMG == self._length_BG[sentence_B][:, None, None]
        member_B1GC = self._member_BGC[sentence_B].unsqueeze(1)
        finished_BKMC = (done_BKMG.unsqueeze(-1) & member_B1GC.unsqueeze(1)).any(-2)
        closed_BKMC = progress.open_BKC.unsqueeze(2) & self._closes(progress, token_BKM, sentence_B, True).unsqueeze(-1)
        kept_BKMC = (progress.met_BKC | progress.unclear_BKC).unsqueeze(2)
        written_BKMC = finished_BKMC | closed_BKMC | kept_BKMC
        waiting_BKMG = ~(written_BKMC.unsqueeze(-2) & member_B1GC.unsqueeze(1)).any(-1)
        partly_BKM = (depth_BKMG * waiting_BKMG).amax(-1)
        return (self.tokens_BC[sentence_B][:, None, None] * written_BKMC).sum(-1) + partly_BKM

    def narrow(self, allowed_BKV: Tensor, said: PartialHypotheses) -> None:
        """See `rules.Rule.narrow`. Where other rules leave nothing, what is missing is said."""
        ids_BKT, sentence_B = said.ids_BKT[..., 1:], said.sentence_B
        progress = self.progress(said)
        device = allowed_BKV.device
        may_end_BK = progress.written_BKC.all(-1)
        allowed_BKV[..., special_tokens.EOS] &= may_end_BK.to(device)
        room_BC, unmet_BKC = self.room_BC[sentence_B].unsqueeze(1), ~progress.met_BKC
        missing_BK = (room_BC * unmet_BKC).sum(-1)
        room_B1 = (said.limit_B - ids_BKT.shape[2] - 1).unsqueeze(1)
        forced_BK = unmet_BKC.any(-1) & ((room_B1 <= missing_BK) | ~allowed_BKV.any(-1).cpu())
        if not forced_BK.any():
            return
        wanted_BKG, depth_BKG = self.wanted(progress, sentence_B, not ids_BKT.shape[2])
        # A token that ends the word before it meets what is open; whatever else is begun is counted from its start.
        open_BK = (room_BC * progress.open_BKC).sum(-1)
        left_BKG = self._length_BG[sentence_B].unsqueeze(1) - depth_BKG - 1
        own_BG = self.room_BC[sentence_B].gather(1, self._phrase_BG[sentence_B])
        others_BKG = missing_BK.unsqueeze(-1) - own_BG.unsqueeze(1)
        others_BKG = others_BKG - open_BK.unsqueeze(-1) * self._ends_word(progress, wanted_BKG, depth_BKG, sentence_B)
        # What is not clear yet is met by a spelling that begins with the character that is under way.
        settles_BKG = (depth_BKG > 0) & (depth_BKG == progress.bytes_BK.unsqueeze(-1))
        others_BKG = others_BKG - (room_BC * progress.unclear_BKC).sum(-1, keepdim=True) * settles_BKG
        fits_BKG = (room_B1 - 1).unsqueeze(-1) >= others_BKG + left_BKG
        only_BKV = torch.zeros_like(allowed_BKV)
        only_BKV.scatter_(-1, torch.where(fits_BKG, wanted_BKG, special_tokens.PAD).to(device), True)
        only_BKV[..., special_tokens.PAD] = False
        only_BKV[..., special_tokens.EOS] = allowed_BKV[..., special_tokens.EOS]
        if not self._free:
            self._bridge(only_BKV, allowed_BKV, progress, sentence_B, forced_BK)
        allowed_BKV.copy_(torch.where(forced_BK.to(device).unsqueeze(-1), only_BKV, allowed_BKV))

    def _bridge(
        self, only_BKV: Tensor, allowed_BKV: Tensor, progress: LexicalProgress, sentence_B: Tensor, forced_BK: Tensor
    ) -> None:
        """Add tokens that meet all that is open, and where no phrase can go on, tokens behind which one can begin."""
        assert self._tokens is not None
        none_BK = ~only_BKV.any(-1).cpu()
        rest_BK = progress.written_BKC.all(-1) & ~progress.unclear_BKC.any(-1)
        place_N, row_N = (forced_BK & (none_BK | rest_BK)).nonzero(as_tuple=True)
        if not len(place_N):
            return
        into_NV, out_of_NV = self._tokens.of_all(sentence_B[place_N], only_BKV.shape[-1])
        behind_N1 = progress.behind[place_N, row_N][:, None]
        closes_NV = ~(behind_N1.joins | into_NV.joins) | self._meets(behind_N1.kind, into_NV.kind)
        closes_NV |= ~progress.open_BKC[place_N, row_N].any(-1, keepdim=True)
        written_NG = self._each(progress.written_BKC, sentence_B)[place_N, row_N]
        open_NG = ~written_NG & self._inside_BG[sentence_B[place_N]] & (self._length_BG[sentence_B[place_N]] > 0)
        leads_NV = torch.zeros_like(closes_NV)
        for spelling in open_NG.any(0).nonzero().flatten().tolist():
            first_N1 = self._into[sentence_B[place_N], spelling][:, None]
            begins_NV = ~(first_N1.joins | out_of_NV.joins) | self._meets(out_of_NV.kind, first_N1.kind)
            leads_NV |= begins_NV & open_NG[:, spelling : spelling + 1]
        more_NV = closes_NV & (rest_BK[place_N, row_N].unsqueeze(1) | leads_NV)
        place_N, row_N = place_N.to(only_BKV.device), row_N.to(only_BKV.device)
        only_BKV[place_N, row_N] |= allowed_BKV[place_N, row_N] & more_NV.to(only_BKV.device)

    def _ends_word(
        self, progress: LexicalProgress, wanted_BKG: Tensor, depth_BKG: Tensor, sentence_B: Tensor
    ) -> Tensor:
        """Whether the token that continues each spelling stands behind a word boundary."""
        if self._free:
            return torch.ones_like(wanted_BKG, dtype=torch.bool)
        # A spelling that begins may begin: that is a boundary. Of its other tokens their own edges tell.
        return (depth_BKG == 0) | self._closes(progress, wanted_BKG, sentence_B, False)

    def _closes(self, progress: LexicalProgress, token_BKM: Tensor, sentence_B: Tensor, hopeful: bool) -> Tensor:
        """Whether a word boundary lies between each row's end and the tokens."""
        if self._tokens is None:
            return torch.ones_like(token_BKM, dtype=torch.bool)
        into, _ = self._tokens.of(token_BKM, sentence_B)
        behind = progress.behind[:, :, None]
        return ~(behind.joins | into.joins) | self._meets(behind.kind, into.kind, hopeful)

    def _neighbours(self, ids_BKT: Tensor, sentence_B: Tensor) -> tuple[EdgeSides, EdgeSides]:
        """What each token shows to the one said before it, and to the one said behind it; a start symbol in front."""
        if self._tokens is None:
            nothing = torch.zeros(*ids_BKT.shape[:2], ids_BKT.shape[2] + 1, dtype=torch.long)
            return (EdgeSides(nothing, nothing.bool()),) * 2
        return self._tokens.in_rows(ids_BKT, sentence_B)

    def _may_start(self, out_of: EdgeSides, sentence_B: Tensor) -> Tensor:
        """Whether each spelling may begin behind each token, the start symbol first (B, K, T + 1, G)."""
        into = self._into[sentence_B][:, None, None]
        apart = ~(out_of.joins.unsqueeze(-1) | into.joins)
        return apart | self._meets(out_of.kind.unsqueeze(-1), into.kind) | self._given_BG[sentence_B][:, None, None]

    def _judge(self, match_BKWG: Tensor, into: EdgeSides, sentence_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Which spellings are met, which are open, and which are not clear yet (by place), given where each ends."""
        given_BG = self._given_BG[sentence_B]
        met_BKG = (match_BKWG & given_BG[:, None, None]).any(2)
        if self._free or not match_BKWG.shape[2]:
            return met_BKG, torch.zeros_like(met_BKG), torch.zeros_like(match_BKWG)
        out_of, next_one = self._out_of[sentence_B][:, None, None], into[:, :, 2:][..., None]
        inside_BKWG = match_BKWG[:, :, :-1]
        apart = ~(out_of.joins | next_one.joins)
        ends = apart | self._meets(out_of.kind, next_one.kind)
        met_BKG |= (inside_BKWG & ends).any(2)
        unclear_BKWG = inside_BKWG & ~apart & (next_one.kind == INCOMPLETE)
        return met_BKG, match_BKWG[:, :, -1] & ~given_BG.unsqueeze(1), unclear_BKWG

    def _begun(self, ids_BKT: Tensor, may_start_BKSG: Tensor, sentence_B: Tensor) -> Tensor:
        """See `Progress.begun_BKGN`."""
        id_B1GN, length_B1G = self.id_BGN[sentence_B].unsqueeze(1), self._length_BG[sentence_B].unsqueeze(1)
        longest, length = self.id_BGN.shape[2], ids_BKT.shape[2]
        begun = [may_start_BKSG[:, :, length] & (length_B1G > 0)]
        for count in range(1, longest):
            if count > length:
                begun.append(torch.zeros_like(begun[0]))
                continue
            same_BKG = (ids_BKT[:, :, None, -count:] == id_B1GN[..., :count]).all(-1)
            begun.append(same_BKG & (count < length_B1G) & may_start_BKSG[:, :, length - count])
        return torch.stack(begun, dim=-1)

    def _meets(self, before: Tensor, behind: Tensor, hopeful: bool = False) -> Tensor:
        """Whether there is a word boundary between two kinds of characters, in the order in which they are said."""
        return is_boundary(behind, before, hopeful) if self._backwards else is_boundary(before, behind, hopeful)

    def _any(self, of_BKG: Tensor, sentence_B: Tensor) -> Tensor:
        """Whether it holds for any spelling of each phrase (B, K, C)."""
        return (of_BKG.unsqueeze(-1) & self._member_BGC[sentence_B].unsqueeze(1)).any(-2)

    def _each(self, of_BKC: Tensor, sentence_B: Tensor) -> Tensor:
        """What holds for a phrase, for each of its spellings (B, K, G)."""
        return (of_BKC.unsqueeze(-2) & self._member_BGC[sentence_B].unsqueeze(1)).any(-1)
