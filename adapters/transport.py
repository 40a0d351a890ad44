"""A map between catalogs that have nobody in common, from the shapes of their embeddings alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coldstart.errors import AlignmentError
from coldstart.prior import Prior
from coldstart.threads import one_blas_thread

from .alignment import Alignment, Cloud, align, directions, refined
from .alignment_report import AlignmentReport
from .base import (
    AnchorContext,
    Array,
    Rows,
    Settled,
    anchor_arrays,
    check_fitted,
    embeddings,
    scaled,
)
from .chance import Scrambled
from .linear import RidgeAdapter
from .realigned import Realigned

__all__ = ["TransportAdapter"]

FEWEST = 10  # rows of a side
CONSIDERED = 4000  # rows of a side, the longest


class TransportAdapter(Settled):
    """A map learned without anchors: nobody is known to be in both catalogs.

    This reads `fit` differently from other adapters: **rows of source and target need not
    correspond, nor be equally many**. Pass all rows of the source and *all* rows of the target, in
    any order. It rests on one assumption, that the two clouds of rows have the same shape: who is
    alike in one catalog has somebody alike in the other. `WarmStart` passes all active rows. Ids in
    common are held out there and can prove a gain; where there are none the gate stays closed, and
    ``gate=False`` follows the alignment untested.

    Rows are seen from their mean and scaled to length 1, the longest 4,000 of a side. Each side is
    stood for by at most `representatives` centres of clusters. The rotation Q with the greatest
    agreement (`alignment.align`) starts from entropic Gromov-Wasserstein couplings and from random
    rotations. Then rows that are each other's nearest neighbours become anchors, the rotation is
    fitted to them, and so on until they stay the same; the last of them are the anchors of a
    `RidgeAdapter`, whose means these are. How sure they are is learned from five alignments of
    parts of the rows (`realigned.Realigned`): residuals of pairs that an alignment has not seen,
    and how far apart the five lay a row. (Arrays drawn from the model, 300 and 260 people in 12
    groups, nobody in common: ellipsoids of 95% hold 92 to 97% of new people, where residuals of the
    pairs themselves alone gave 30 to 94%; with the same people on both sides they hold nearly all.)

    Two clouds always align somehow, so the whole search is repeated on targets whose structure was
    destroyed (`chance.Scrambled`: groups of rows stay what they are, and lie elsewhere). Unless the
    agreement beats them, with ``p = (1 + as good) / (1 + permutations)`` at most `level`, `fit`
    refuses: no map is better than one that chance gives. That shapes agree does not yet say how to
    lay one on the other, so it refuses, too, where a second search ends at another rotation: a mean
    cosine below 0.5 between what both make of a source row. (Measured on ALS factors of 64
    dimensions: three pairs of catalogs with the same people beat chance, with a stability below
    0.2, and hardly any pair was right; a catalog and its own rotation have 1.)

    Parameters
    ----------
    representatives : int, default 60
    starts : int, default 30
        Random rotations to begin from, besides the couplings.
    permutations : int, default 40
        How many targets without structure; 0 asks no question and refuses nothing.
    level : float, default 0.05
    ridge : float or "gcv", default "gcv"
        Of the map from the anchors found.
    rng : int, default 0
        Seed of the clusters, the starts and the permutations.

    Attributes
    ----------
    report_ : AlignmentReport
        Kept where `fit` refuses, too.
    rotation_ : array (d_source, d_target)
        That of the anchors found, between rows seen from their mean.
    pairs_ : array (2, n_pairs)
        Rows of source and target that became anchors.
    map_ : RidgeAdapter
    realigned_ : Realigned

    References
    ----------
    Alvarez-Melis and Jaakkola (2018), Gromov-Wasserstein Alignment of Word Embedding Spaces.
    Conneau, Lample, Ranzato, Denoyer and Jégou (2018), Word Translation Without Parallel Data.
    Grave, Joulin and Berthet (2019), Unsupervised Alignment of Embeddings with Wasserstein
    Procrustes. Phipson and Smyth (2010), Permutation P-values Should Never Be Zero.
    """

    needs_anchors = False
    unpaired = True

    def __init__(
        self,
        representatives: int = 60,
        *,
        starts: int = 30,
        permutations: int = 40,
        level: float = 0.05,
        ridge: float | Literal["gcv"] = "gcv",
        rng: int = 0,
    ) -> None:
        self.representatives = representatives
        self.starts = starts
        self.permutations = permutations
        self.level = level
        self.ridge = ridge
        self.rng = rng

    def get_params(self) -> dict[str, Any]:
        """The constructor's arguments, by name."""
        return {
            "representatives": self.representatives,
            "starts": self.starts,
            "permutations": self.permutations,
            "level": self.level,
            "ridge": self.ridge,
            "rng": self.rng,
        }

    def fit(
        self,
        source: ArrayLike,
        target: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        context: AnchorContext | None = None,
    ) -> TransportAdapter:
        """Align `source` (n, d_source) with `target` (m, d_target), whose rows need not correspond.

        `weight` (n,) is the mass of a source row; 0 is without it. Of the `context` only what
        concerns the whole target is read: the mean of all its rows, which is that of `target`
        without one, and the factors of the other side.

        Raises
        ------
        AlignmentError
            Where the alignment is no better than by chance, or a second search ends elsewhere (see
            `report_`), with fewer than 10 rows of a side, or where fewer than two anchors followed.
        MissingLibraryError
            An `ImportError` too. Without the library POT: ``pip install coldstart[transport]``.
        ValueError
            When values are not finite, or a setting is out of range.
        """
        self._check_settings()
        vars(self).pop("map_", None)
        s, _, w = anchor_arrays(source, source, weight)
        t = embeddings(target, "target")
        told = context or AnchorContext()
        told.check_target(t.shape[1])
        with one_blas_thread():
            self._learn(s, t, w, told)
        return self

    def predict(self, source: ArrayLike, *, context: AnchorContext | None = None) -> Prior:
        """What the map from the anchors found says of `source` (m, d_source), as sure as alignments
        of parts of the rows agree.
        """
        check_fitted(self, "map_")
        rows = embeddings(source, "source", len(self.rotation_)).astype(np.float64)
        return self.realigned_.prior(self.map_.predict(rows, context=context), rows)

    def _learn(self, s: Rows, t: Rows, w: Array, context: AnchorContext) -> None:
        chosen = _longest(s, w), _longest(t, np.ones(len(t)))
        sizes = len(chosen[0]), len(chosen[1])
        if min(sizes) < FEWEST:
            raise AlignmentError(
                f"TransportAdapter needs at least {FEWEST} rows of each side to see the shape of "
                f"a catalog: it got {sizes[0]} of the source and {sizes[1]} of the target"
            )
        mass, ones = w[chosen[0]], np.ones(sizes[1])
        rows = s[chosen[0]].astype(np.float64), t[chosen[1]].astype(np.float64)
        points = directions(rows[0], mass), directions(rows[1], ones)
        rng = np.random.default_rng(self.rng)
        pairs = self._paired(points, mass, rows[1], rng)
        self.pairs_ = np.stack([chosen[0][pairs[0]], chosen[1][pairs[1]]])
        told = AnchorContext(
            mean=t.mean(axis=0) if context.mean is None else context.mean,
            covariance=context.covariance,
            other_factors=context.other_factors,
        )
        anchors = s[self.pairs_[0]], t[self.pairs_[1]]
        learned = RidgeAdapter(self.ridge).fit(*anchors, weight=w[self.pairs_[0]], context=told)

        def search(points: Array, weight: Array, others: Array) -> Array:
            return self._aligned(points, weight, others, rng).rotation

        self.realigned_ = Realigned.of(rows, mass, learned, search, self.ridge, told)
        self.map_ = learned

    def _paired(
        self, points: tuple[Array, Array], mass: Array, target: Array, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Anchors (2, n_pairs) between `points` (m, k) and (n, k), and the rotation that they
        follow; refused where chance does as well, or another start finds another rotation. `target`
        (n, d_target) are the rows behind the second points.
        """
        source, other = points
        found = self._aligned(source, mass, other, rng)
        chance = self._by_chance(source, mass, target, rng)
        self.report_ = AlignmentReport(len(source), len(other), found.agreement, chance, self.level)
        if not self.report_.beats_chance:
            raise _refusal("do not align better than by chance", self.report_)
        pairs, self.rotation_ = refined(source, other, found.rotation)
        again = self._aligned(source, mass, other, rng)
        stability = _likeness(source, self.rotation_, refined(source, other, again.rotation)[1])
        self.report_ = replace(self.report_, stability=stability)
        if not self.report_.accepted:
            raise _refusal("align in more than one way", self.report_)
        if pairs.shape[1] < 2:
            raise _refusal("leave fewer than two anchors", self.report_)
        self.report_ = replace(self.report_, pairs=pairs.shape[1])
        return pairs

    def _aligned(
        self, source: Array, mass: Array, target: Array, rng: np.random.Generator
    ) -> Alignment:
        clouds = (
            Cloud.of(source, mass, self.representatives, rng),
            Cloud.of(target, np.ones(len(target)), self.representatives, rng),
        )
        return align(*clouds, self.starts, rng)

    def _by_chance(
        self, source: Array, mass: Array, target: Array, rng: np.random.Generator
    ) -> tuple[float, ...]:
        """Agreements with targets that have no structure."""
        if not self.permutations:
            return ()
        ones = np.ones(len(target))
        scrambled = Scrambled.of(target, ones, rng)
        return tuple(
            self._aligned(source, mass, directions(scrambled.draw(rng), ones), rng).agreement
            for _ in range(self.permutations)
        )

    def _check_settings(self) -> None:
        least = {"representatives": FEWEST, "starts": 0, "permutations": 0, "rng": 0}
        for name, smallest in least.items():
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or value < smallest:
                raise ValueError(
                    f"{name} must be a whole number of at least {smallest}, got {value!r}"
                )
        if not 0 < self.level < 1:
            raise ValueError(f"level must be between 0 and 1, got {self.level!r}")
        if self.permutations and 1 / (1 + self.permutations) > self.level:
            raise ValueError(
                f"{self.permutations} permutations cannot show p <= {self.level:g}: "
                f"use at least {int(np.ceil(1 / self.level - 1e-9)) - 1}, or 0 for no test"
            )


def _refusal(why: str, report: AlignmentReport) -> AlignmentError:
    return AlignmentError(
        f"source and target {why}: {report}; use anchors, or MeanAdapter, which needs neither"
    )


def _likeness(points: Array, rotation: Array, other: Array) -> float:
    """Mean cosine of what two rotations make of points (n, d_source)."""
    turned = scaled(points @ rotation, True), scaled(points @ other, True)
    return float(np.mean(np.sum(turned[0] * turned[1], axis=1)))


def _longest(rows: Rows, weight: Array) -> Array:
    """Positions, ascending, of the longest rows that count; in factor models long is active."""
    length = np.where(weight > 0, np.einsum("ij,ij->i", rows, rows), -1.0)
    kept = np.argsort(-length, kind="stable")[: min(CONSIDERED, np.count_nonzero(weight))]
    return np.sort(kept)
