"""Location-relative attention: a step knows where the step before looked, and how far from there it wants to look.

    e_ij = s_i . (W m_j) / sqrt(H) + sum_d (V s_i)_d a_i-1,j-d       s: decoder states, m: memory, d = -REACH..REACH
    a_i  = softmax_j(e_ij)
    c_i  = sum_j a_ij m_j

The second term is a dynamic convolution (Battenberg et al. 2020, arXiv:1910.10288): each state says anew how much it
wants to stay where the last one looked, to go on by a place or two, or to go back. Chorowski et al. (2015,
arXiv:1506.07503) learn filters that serve all states. By what places say alone, the halves of a word that repeats
itself look alike, and one of them is easily left out. Before the first step all is at the first place.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rnnkit.nn.recurrent_attention import RecurrentAttention

REACH = 5
"""Places that a step can ask for to either side of where the step before looked."""


def plain_alignments(energies_NTS: Tensor, jumps_NTJ: Tensor, before_NS: Tensor) -> Tensor:
    """The equations place by place and step by step: what `alignments` is held to."""
    steps, places = [], range(energies_NTS.shape[2])
    for energies_NS, jumps_NJ in zip(energies_NTS.unbind(1), jumps_NTJ.unbind(1), strict=True):
        wanted = []
        for place in places:
            near = [from_ for from_ in places if abs(place - from_) <= REACH]
            terms = [jumps_NJ[:, REACH + place - from_] * before_NS[:, from_] for from_ in near]
            wanted.append(energies_NS[:, place] + torch.stack(terms).sum(0))
        before_NS = torch.softmax(torch.stack(wanted, dim=1), dim=1)
        steps.append(before_NS)
    return torch.stack(steps, dim=1)


def alignments(energies_NTS: Tensor, jumps_NTJ: Tensor, before_NS: Tensor) -> Tensor:
    """The weights of each step.

    Args:
        energies_NTS: What each place says by itself; minus infinity where a step cannot look.
        jumps_NTJ: What each step wants of the places at distances -REACH to REACH from where the step before looked.
        before_NS: The weights of the step before the first.

    Returns:
        The weights a (N, T, S), each of sum 1.
    """
    # A window of a reads from left to right what a place is reached from: the greatest distance first.
    filters_NTJ1 = jumps_NTJ.flip(2).unsqueeze(3)
    steps = []
    for energies_NS, filter_NJ1 in zip(energies_NTS.unbind(1), filters_NTJ1.unbind(1), strict=True):
        windows_NSJ = nn.functional.pad(before_NS, (REACH, REACH)).unfold(1, 2 * REACH + 1, 1)
        before_NS = torch.softmax(torch.baddbmm(energies_NS.unsqueeze(2), windows_NSJ, filter_NJ1).squeeze(2), dim=1)
        steps.append(before_NS)
    return torch.stack(steps, dim=1)


class LocationAttention(RecurrentAttention):
    """Attention that asks for places relative to where the step before looked.

    Args:
        size: Size H of queries and memory.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.jump = nn.Linear(size, 2 * REACH + 1)

    def align(self, energies_NTS: Tensor, query_NTH: Tensor, before_NS: Tensor) -> Tensor:
        """See `RecurrentAttention`."""
        return alignments(energies_NTS, self.jump(query_NTH).float(), before_NS)
