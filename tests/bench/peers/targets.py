# SPDX-License-Identifier: Apache-2.0
"""What a row is meant to reach, printed beside what it did. A target looks at a row's result: the median, the fraction of the
floor, and for each peer that has figures its ratios, a round each."""
import statistics
from dataclasses import dataclass

from contestants import PEERS


@dataclass
class Target:
    text: str
    found: object   # result, ratios -> figure, or None where a peer is missing
    reached: object # figure -> bool
    show: object    # figure -> text


def times(least, *peers):
    """`least` times as fast as the best of the peers, round by round; exactly 1 means ahead."""
    def found(_, ratios):
        if not all(peer in ratios for peer in peers):
            return None
        return statistics.median(min(round_) for round_ in zip(*(ratios[peer] for peer in peers)))
    names = " and ".join(PEERS[peer] for peer in peers)
    text = f"ahead of {names}" if least == 1 else f"{least:g}x {names}"
    return Target(text, found, (lambda figure: figure > 1) if least == 1 else (lambda figure: figure >= least),
                  lambda figure: f"{figure:.2f}x" if figure < 100 else f"{figure:,.0f}x")


def of_the_floor(percent):
    return Target(f"{percent} % of the floor", lambda result, _: 100 * result["fraction_of_floor"],
                  lambda figure: figure >= percent, lambda figure: f"{figure:.1f} %")


def at_least(least, unit):
    return Target(f"at least {least:g} {unit}", lambda result, _: result["ours"], lambda figure: figure >= least,
                  lambda figure: f"{figure:.2f} {unit}")


def at_most(most, unit):
    return Target(f"at most {most:g} {unit}", lambda result, _: result["ours"], lambda figure: figure <= most,
                  lambda figure: f"{figure:.3g} {unit}")


def judge(targets, result, ratios):
    """[{"text", "found", "reached"}]; reached is None where a peer that it speaks of has no figures."""
    judged = []
    for target in targets:
        figure = target.found(result, ratios)
        judged.append({"text": target.text, "found": "not measured" if figure is None else target.show(figure),
                       "reached": None if figure is None else bool(target.reached(figure))})
    return judged
