"""The front door: a target model, an adapter, and how strongly the adapter pulls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from os import PathLike
from threading import Lock
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from coldstart.adapters.base import Adapter
from coldstart.als import PriorALS
from coldstart.anchors import Anchors, check_features, find_anchors
from coldstart.answer import Missing, answer
from coldstart.artefact import read_artefact, verify_artefact, write_artefact
from coldstart.export import Format, exported
from coldstart.factors import Factors
from coldstart.features import Features
from coldstart.fitted import Fitted, widened
from coldstart.gate import Decision
from coldstart.growth import updated
from coldstart.interactions import Interactions
from coldstart.plan import Plan, decided, extras_of
from coldstart.prior import Prior
from coldstart.provenance import described
from coldstart.refine_choice import RefineChoice, choose_refinement, fit_recipe
from coldstart.refine_serving import known_rows, null_arm
from coldstart.refine_serving import null_priors as refined_nulls
from coldstart.refit import refitted, restarted
from coldstart.request import Request, checked_gate
from coldstart.saved import adapter_from, adapter_to_json, damage_told, from_parts, to_parts
from coldstart.serving import Served, Side, solve_believed
from coldstart.strength import Fallback, Strength
from coldstart.targets import Target, Trained, target_of
from coldstart.targets.prior_als import PriorALSTarget
from coldstart.transfer import Space, fit_adapter, null_priors, target_space
from coldstart.transfer_report import Described, TransferReport
from coldstart.tuning import Found, Home, Limits, Models, find, find_home, models_of, untested
from coldstart.vocabulary import Vocabulary

__all__ = ["WarmStart"]

Floats = NDArray[np.float32]

_LEARNING = Lock()  # held while any warm start takes in interactions
Doubles = NDArray[np.float64]


class WarmStart:
    """Warm-start a factorization model of a sparse target catalog from a rich source catalog.

    Fitting trains the target model on the target alone, maps the source embeddings of one side into
    its space, and solves the rows of that side around the mapped prior. Factors of the other side
    never see the source, unless `refine` is asked for.

    Parameters
    ----------
    model : PriorALS, implicit's AlternatingLeastSquares, BayesianPersonalizedRanking or \
LogisticMatrixFactorization, or LightFM
        The target model; only its settings are read, and the object stays as it is. implicit's ALS
        knows no priors: `PriorALS` with the same settings takes its place. The others are trained
        by their own library on the target alone; then rows are solved around their priors in the
        model's own loss. How many epochs is among what `AutoAdapter` chooses; otherwise those of
        the model, and 30 for LightFM, which has none.
    adapter : Adapter, optional
        Learns the map from anchors, ids that both catalogs have. Settings it leaves open are chosen
        on held-out anchors. `AutoAdapter` by default: they choose among the adapters that it names,
        and the rest with them.
    side : {"users", "items"}, default "users"
        Which embeddings are mapped.
    source_model : factor model, optional
        By default the target model where that is ALS, else ``PriorALS`` of its width. Any model
        that can be a target can be one, and any other with `fit`, `user_factors` and
        `item_factors`.
    strength : "auto", float or Strength, default "auto"
        "auto" holds anchors out, their target rows removed before anything of the target is fitted,
        and chooses on them how far to go toward the adapter's mean and how firmly to hold there,
        for each number of interactions. Where few anchors can be held out, rows of the target that
        are none are held out as well, and say where the choice of firmness starts. A number is a
        factor on the precision that the adapter itself states.
    gate : bool or "soft", default True
        Whether held-out people must prove that the source helps: for numbers of interactions at
        which it does not significantly, the best way without a source serves instead. Without
        enough held-out people to tell the gate is closed. "soft" trusts the source for each row by
        itself, as far as it foretold the row's interactions better than a prior without a source
        did; held-out people must prove that this helps.
    refine : int, default 0
        Above 0 map, rows and factors of the other side are learned together, by at most so many
        sweeps of expectation-maximisation: the factors of the other side then see the source.
        Confidence, ridge, strength and number of sweeps are chosen on hidden interactions, as hard
        without a source, and the gate is one decision for the whole model. The adapter is fitted
        anew in every sweep and must learn from anchors; by default, and in place of an
        `AutoAdapter` without a list of its own, it is `RidgeAdapter`, which costs little. A number
        as `strength` is the only one that is tried.
    rng : int, numpy.random.Generator or None
        Seeds the held-out split, the models whose own seed is None, and LightFM, of which that
        cannot be seen.
    num_threads : int, default 0
        0 is all cores.
    show_progress : bool, default False

    Attributes
    ----------
    model_ : PriorALS, or a model of the class that was passed
        The trained target model; its rows are those of the target catalog. Rows that it folds in
        anew are pulled by the source's prior alone.
    adapter_ : Adapter
        The chosen one, fitted on all anchors.
    strength_ : Strength
    provenance_ : dict
        Sizes and hashes of source and target, and when the fit was.
    trials_ : list of dict
        Every way to cross that held-out people tried: number of shots, setting, mean quality, and
        whether it was chosen. Not saved, and empty where nobody was asked.
    space_ : dict of str to list
        What there was to try, by the names of the settings.
    report_ : TransferReport
        In words and numbers what was moved, and what held-out people gained.
        ``print(warm.report_)``.

    Examples
    --------
    >>> from coldstart import PriorALS, WarmStart
    >>> from coldstart.adapters import RidgeAdapter
    >>> from coldstart.datasets import make_cross_domain
    >>> source, target = make_cross_domain(n_users=300, rng=0)
    >>> warm = WarmStart(PriorALS(factors=16, rng=0), RidgeAdapter(), rng=0).fit(source, target)
    >>> newcomers = [u for u in source.users if u not in target.users]
    >>> ids, scores = warm.recommend(newcomers, n=5)
    >>> ids.shape == (len(newcomers), 5)
    True
    """

    def __init__(
        self,
        model: Any,
        adapter: Adapter | None = None,
        *,
        side: Literal["users", "items"] = "users",
        source_model: Any = None,
        strength: Literal["auto"] | float | Strength = "auto",
        gate: bool | Literal["soft"] = True,
        refine: int = 0,
        rng: int | np.random.Generator | None = None,
        num_threads: int = 0,
        show_progress: bool = False,
    ) -> None:
        self._limits = Limits()  # of the search, for an evaluation that gives every arm the same
        self._loaded: tuple[Any, Target | None] = (None, None)  # a model, and what it stood for
        self.model = model
        self.adapter = adapter
        self.side = side
        self.source_model = source_model
        self.strength = strength
        self.gate = gate
        self.refine = refine
        self.rng = rng
        self.num_threads = num_threads
        self.show_progress = show_progress

    def __repr__(self) -> str:
        asked = ("adapter", "side", "strength", "gate", "refine")
        settings = ", ".join(f"{name}={getattr(self, name)!r}" for name in asked)
        state = "fitted" if hasattr(self, "served_") else "not fitted"
        return f"WarmStart({type(self.model).__name__}, {settings}): {state}"

    def fit(
        self,
        source: Interactions | Factors,
        target: Interactions,
        *,
        features: Features | None = None,
    ) -> WarmStart:
        """Fit map, strength and target model.

        Parameters
        ----------
        source : Interactions, or Factors of a model trained elsewhere
        target : Interactions
        features : Features, optional
            What else is known of the mapped side: of items with ``side="items"``, of users with
            ``side="users"``. Rows of the target that have some teach what features say of others,
            whether or not the source knows them: an id that is in neither catalog can be asked
            for then. It has to be among the features here; later ones need another fit. Where the
            catalogs have nobody in common, features are all that counts, and ids of the source
            without any stay unknown. The adapter must read features, as `ContentAdapter` does;
            `AutoAdapter` has it among its choices then.

        Raises
        ------
        DataError
            When ids are numbers in one place and strings in another, or fewer than two of those
            with features have interactions in the target.
        AnchorError
            When no id is in both catalogs and the adapter needs some.
        AlignmentError
            When the adapter aligns catalogs without anchors, and these align no better than by
            chance or in more than one way.
        """
        self._request.check(source, target, features)
        provenance = described(source, target)
        if self.side == "items":
            source, target = source.T, target.T
        if features is not None:
            check_features(features, source.users, target, side=self.side)
        wanted = self._request.wanted
        rng = np.random.default_rng(self.rng)
        seeds = rng.integers(2**31, size=2)
        models = models_of(
            wanted,
            self._request.target.seeded(
                int(seeds[0]), self.num_threads, given=self.rng is not None
            ),
            self._origin_model(int(seeds[1])),
            source,
            tune_source=self.source_model is None,
            features=features,
            show_progress=self.show_progress,
        )
        origin = models.sources[0]()
        anchors = self._anchors(origin, target)
        self._request.check_anchors(len(anchors))
        home_model = models.targets[0]
        self.provenance_ = provenance
        if self.refine and isinstance(home_model, PriorALSTarget):
            return self._fit_refined(home_model, origin, target, anchors, rng)
        found = self._find(models, origin, target, anchors, rng)
        decision = decided(found, self.adapter) if self.gate and found else None
        home = self._find_home(models, target, anchors, rng) if found is None else None
        plan = Plan.of(self._request, models.targets, found, decision, home)
        if found is not None and found.choice.crossing.source:
            origin = models.sources[found.choice.crossing.source]()
        adapter = found.adapter if found else untested(wanted, origin)
        self._train(models, plan, adapter, origin, target, anchors)
        self.report_ = self._report(origin, anchors, found, decision)
        self.trials_ = found.trials() if found else []
        self.space_ = found.space() if found else {}
        return self

    def recommend(
        self,
        users: Iterable[Any],
        n: int = 10,
        *,
        history: Mapping[Any, Iterable[Any]] | None = None,
        missing: Missing = "raise",
    ) -> tuple[NDArray[Any], Floats]:
        """Best `n` items for each user, without those the user has: item ids (len, n) and scores
        (len, n).

        Parameters
        ----------
        users : ids known in either catalog
        history : dict of user id to item ids, optional
            Interactions that the model does not know yet. They add to what is stored, and are not
            kept. With them, users known in neither catalog are folded in around the mean of all
            users.
        missing : {"raise", "popular"}, default "raise"
            What to do about users known nowhere and without history, and about unknown items in
            `history`: raise `UnknownIdError`, or give the most popular items and ignore those
            interactions.

        Returns
        -------
        ids : object array (len, n), scores : float32 array (len, n)
            Best first; lists with fewer than `n` items end in None and -inf.
        """
        return self._answer("users", users, n, history, missing)

    def audience(
        self,
        items: Iterable[Any],
        n: int = 10,
        *,
        history: Mapping[Any, Iterable[Any]] | None = None,
        missing: Missing = "raise",
    ) -> tuple[NDArray[Any], Floats]:
        """Best `n` users for each item: as `recommend`, with items in and users out; `history`
        lists users.
        """
        return self._answer("items", items, n, history, missing)

    def update(self, interactions: Interactions) -> WarmStart:
        """Fold in what arrived, without training: the other side stands still.

        New ids are added: a user or item that only the source knew leaves its prior with its first
        interaction, one that nobody knew begins at the mean prior. New ids of the other side are
        solved against the rows as they were fitted. So the result depends on all that arrived since
        the fit, not on the batches that it came in; of equal pairs the larger value counts.
        `recommend` may go on meanwhile in other threads, with the old rows or with the new ones.

        Parameters
        ----------
        interactions : Interactions
            With users and items as in `fit`, whichever side is mapped.

        Returns
        -------
        WarmStart
            Itself.

        Raises
        ------
        DataError
            When ids are numbers in one place and strings in another.
        """
        return self._learn(updated, interactions)

    def refit(
        self,
        new: Interactions | None = None,
        *,
        all_interactions: Interactions | None = None,
    ) -> WarmStart:
        """Learn both sides again: from what is `new` alone, or from `all_interactions`.

        With `new`, what is known of a row so far is a prior around its present value, as firm as
        the second derivatives of its loss. So nothing is counted twice or forgotten at once, and
        what is old washes out with data. What `update` folded in since the last fit or refit is
        learned too, once: `new` may have it again, of equal pairs the larger value counts. What an
        earlier refit has learned must not come again. `all_interactions` restarts from the prior
        that the source gave, and forgets whatever is not among them. Neither reads the source, or
        chooses anything again: `fit` does.

        Raises
        ------
        ValueError
            Unless one of the two is given.
        DataError
            When ids are numbers in one place and strings in another.
        """
        if (new is None) == (all_interactions is None):
            raise ValueError("pass either new or all_interactions")
        if new is not None:
            return self._learn(refitted, new)
        return self._learn(restarted, all_interactions)

    def ids(self, side: Literal["users", "items"]) -> Vocabulary:
        """The ids that can be asked for: those of the target, and on the mapped side those of the
        source too.
        """
        served = self._ready()
        if side not in ("users", "items"):
            raise ValueError(f'side must be "users" or "items", got {side!r}')
        return self._asked(served, side).ids

    def export(self, path: str | PathLike[str], format: Format = "parquet") -> float:  # noqa: A002
        """Write vectors of users and items for serving elsewhere, checked to answer like this.

        The folder has ``users.parquet`` and ``items.parquet`` (row, id, vector) and
        ``export.json``. Products of the vectors are the scores of `recommend`. For an index the
        items have one more entry, which makes them equally long, and the users a zero:
        ``items.usearch`` or ``items.hnswlib`` is searched by cosine with a user's vector, its keys
        are row numbers, and ``export.json`` says with what ``expansion_search`` it was checked.

        What a user has seen is not left out: ask for as many items more. A history moves a user in
        `recommend` alone.

        Parameters
        ----------
        path : str or path
            A folder, which is replaced where it is an export already.
        format : {"parquet", "usearch", "hnswlib"}, default "parquet"

        Returns
        -------
        float
            Recall of the first ten of exact lists, over 500 users; at least 0.98.

        Raises
        ------
        ColdstartError
            When the index finds less than that, the folder cannot be written, or the library of the
            format is not installed. Nothing is left then.
        """
        sides = ("users", "items") if self.side == "users" else ("items", "users")
        return exported(self._ready(), path, format, sides)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the fitted model into a folder: arrays, ids and a manifest, without pickle.

        The manifest is replaced last: a save that is killed leaves an older model in that folder
        whole.
        """
        self._ready()
        arrays, values = to_parts(self._fitted)
        values |= {
            "gate": checked_gate(self.gate),
            "refine": int(self.refine),
            "adapter": adapter_to_json(self.adapter_),
            "report": self.report_.to_json(),
            "provenance": self.provenance_,
        }
        write_artefact(path, arrays, values)

    @classmethod
    def load(cls, path: str | PathLike[str], *, mmap: bool = False) -> WarmStart:
        """Read what `save` wrote. It answers as the saved one did; what it learned of the source is
        in its priors.

        `adapter` and `adapter_` are unfitted, with the settings of the one that was chosen: `fit`
        begins anew. An adapter that is not in `coldstart.adapters.ADAPTERS`, or has settings that
        are no plain values such as a regressor of scikit-learn, is not saved: before another `fit`
        set `adapter`.

        Parameters
        ----------
        path : str or path
            The folder.
        mmap : bool, default False
            Map factors, priors and interactions from their files: processes share them, and what is
            never asked for is never read. Headers and sizes are checked; that the content is what
            was saved is left to `verify`.

        Raises
        ------
        ArtefactError
            When the folder is missing, damaged, or written by a version of the format that this one
            cannot read.
        """
        arrays, values = read_artefact(path, mmap=mmap)
        with damage_told():
            fitted = from_parts(arrays, values)
            adapter, strength = adapter_from(values["adapter"]), fitted.belief.strength
            refine = int(values.get("refine", 0))
            warm = cls(
                fitted.target.model,
                adapter,
                side=values["side"],
                strength=strength.temper[0] if refine else strength,
                gate=checked_gate(values["gate"]),
                refine=refine,
            )
            warm._loaded = warm.model, fitted.target
            warm.adapter_ = adapter
            warm.provenance_ = values.get("provenance", {})
            warm.report_ = TransferReport.from_json(values["report"])
            warm._keep(fitted)
        return warm

    @staticmethod
    def verify(path: str | PathLike[str]) -> None:
        """Check every file of a saved model against the hash that was saved with it.

        Raises
        ------
        ArtefactError
            In one line, what is wrong with the first file that is not what was saved.
        """
        verify_artefact(path)

    def _answer(
        self, side: Any, ids: Any, n: int, history: Any, missing: Missing
    ) -> tuple[NDArray[Any], Floats]:
        served = self._ready()  # read once: an update puts another in its place
        query = self._asked(served, side)
        settings: dict[str, Any] = {"n": n, "history": history, "missing": missing}
        return answer(served, query, ids, num_threads=self.num_threads, **settings)

    def _asked(self, served: Served, side: str) -> Side:
        """Users or items."""
        return served.mapped if side == self.side else served.other

    def _ready(self) -> Served:
        """Both sides as they are now."""
        if not hasattr(self, "served_"):
            raise ValueError("this WarmStart is not fitted: call fit(source, target) first")
        return self.served_

    def _learn(self, how: Any, news: Any) -> WarmStart:
        """Take in new interactions, one caller at a time."""
        self._ready()
        if not isinstance(news, Interactions):
            raise TypeError(f"interactions must be Interactions, got {type(news).__name__}")
        with _LEARNING:
            news = news if self.side == "users" else news.T
            self._keep(how(self._fitted, news, self.num_threads))
        return self

    @property
    def _request(self) -> Request:
        wanted = self.model, self.adapter, self.side, self.strength, self.gate, self.refine
        model, target = self._loaded
        same = model is self.model and target is not None and target.side == self.side
        return Request(*wanted, target if same else None)

    def _origin_model(self, seed: int) -> Any:
        """What embeds the source, with a seed where it had none."""
        model = self.source_model
        if model is None:
            target = self._request.target
            als = isinstance(target, PriorALSTarget)
            model = target.model if als else PriorALS(target.width)
        try:
            return target_of(model, self.side).seeded(
                seed, self.num_threads, given=self.rng is not None
            )
        except TypeError:  # anything that embeds
            return model

    def _anchors(self, origin: Space, target: Interactions) -> Anchors:
        needed = getattr(self._request.wanted, "needs_anchors", True)
        anchors = find_anchors(origin.ids, target.users, side=self.side, needed=needed)
        live = origin.active[anchors.source]
        return anchors.take(live & (np.diff(target.user_items.indptr)[anchors.target] > 0))

    @property
    def _asks(self) -> bool:
        """Whether held-out people have anything to choose."""
        return bool(self.strength == "auto" or self.gate)

    def _find_home(
        self, models: Models, target: Interactions, anchors: Anchors, rng: np.random.Generator
    ) -> Home | None:
        """What rows of the target choose where anchors are too few, None where they are not asked
        or too few.
        """
        if not self._asks:
            return None
        return find_home(
            self._request.wanted,
            models,
            target,
            anchors,
            rng=rng,
            num_threads=self.num_threads,
        )

    def _find(
        self,
        models: Models,
        origin: Space,
        target: Interactions,
        anchors: Anchors,
        rng: np.random.Generator,
    ) -> Found | None:
        """What held-out people choose, None where they are not asked or too few."""
        if not self._asks:
            return None
        return find(
            self._request.wanted,
            models,
            origin,
            target,
            anchors,
            fixed=self._request.fixed,
            absolute=isinstance(self.strength, Strength),
            rng=rng,
            num_threads=self.num_threads,
            show_progress=self.show_progress,
            soft=self.gate == "soft",
            limits=self._limits,
        )

    def _fit_refined(
        self,
        home: PriorALSTarget,
        origin: Space,
        target: Interactions,
        anchors: Anchors,
        rng: np.random.Generator,
    ) -> WarmStart:
        """Learn map, rows and the other side's factors together, and keep that or the best without
        a source.
        """
        adapter, log = self._request.wanted, target.user_items
        known = known_rows(origin, anchors)
        fixed = self._request.fixed
        model = home.model
        choice = choose_refinement(
            model,
            log,
            known,
            adapter,
            sweeps=int(self.refine),
            temper=None if fixed is None else fixed.temper[0],
            rng=rng,
            show_progress=self.show_progress,
        )
        recipe = choice.recipe if self.gate else choice.refined
        refined = fit_recipe(model, log, known, adapter, recipe, show_progress=self.show_progress)
        told = recipe.told(known, len(target.users))
        fitted = refined.model(log, told)
        home = replace(home, model=fitted.clone())
        trained = home.trained(fitted.fold_in(log), fitted.item_factors, log)
        self.adapter_ = refined.adapter
        if not recipe.source:
            self.adapter_ = fit_adapter(adapter, origin, target_space(trained, target), anchors)
        strength = replace(refined.strength, temper=(choice.refined.temper,))
        others = Fallback((0,), (null_arm(recipe, refined),))
        plan = Plan(0, strength, (recipe.source,), others, others)
        nulls = refined_nulls(refined, told)
        self._serve(home, trained, plan, origin, target, anchors, refined.mean, nulls)
        self.report_ = self._report(origin, anchors, choice=choice)
        return self

    def _train(
        self,
        models: Models,
        plan: Plan,
        adapter: Adapter,
        origin: Space,
        target: Interactions,
        anchors: Anchors,
    ) -> None:
        """Fit target model and adapter on everything, and keep what serves."""
        model = models.targets[plan.target]
        trained = model.fit(target.user_items, show_progress=self.show_progress)
        space = target_space(trained, target)
        self.adapter_ = fit_adapter(adapter, origin, space, anchors)
        nulls = null_priors(space, anchors.target)
        self._serve(model, trained, plan, origin, target, anchors, space.moments[0], nulls)

    def _serve(
        self,
        model: Target,
        trained: Trained,
        plan: Plan,
        origin: Space,
        target: Interactions,
        anchors: Anchors,
        mean: Doubles,
        nulls: Prior,
    ) -> None:
        """Keep a model and an adapter that are fitted, and solve the rows of the mapped side, each
        under its own prior or arm: `mean` (f,) is that of all target rows.
        """
        matrix = target.user_items
        ids = target.users.union(origin.ids.take(origin.crossed(anchors)))
        belief = plan.belief(self.adapter_, ids, origin, mean, nulls)
        extras = extras_of(belief, origin, ids, matrix, anchors)
        everybody, known = np.arange(len(ids)), widened(matrix, (len(ids), matrix.shape[1]))
        rows = solve_believed(belief, everybody, known, trained.loss, num_threads=self.num_threads)
        trained = model.trained(rows, trained.columns, matrix)
        self._keep(Fitted(model, trained, belief, (ids, target.items), matrix, extras))

    def _report(
        self,
        origin: Space,
        anchors: Anchors,
        found: Found | None = None,
        decision: Decision | None = None,
        choice: RefineChoice | None = None,
    ) -> TransferReport:
        """What was moved, by what is kept."""
        fitted = self._fitted
        moved = origin.ids.rows(fitted.ids[0].ids[fitted.belief.mapped[:-1]])
        seen = origin.seen_by(self.adapter_)
        return TransferReport.of(
            side=self.side,
            adapter=self.adapter_,
            source=(len(origin.ids) - origin.appended, seen.rows.shape[1]),
            given=None if seen.given is None else seen.given.shape[1],
            target=(fitted.matrix.shape[0], fitted.trained.rows.shape[1]),
            model=str(fitted.target),
            anchors=int(origin.met[anchors.source].sum()),
            moved=int(origin.met[moved].sum()),
            strength=self.strength_,
            found=found,
            chosen=isinstance(self.strength, str),
            gated=bool(self.gate),
            gate=decision,
            fallback=fitted.belief.fallback,
            followed=any(fitted.belief.open),
            refined=choice,
            features=Described.of(origin, anchors, moved),
            soft=fitted.belief.soft,
            trust=self._trust() if fitted.belief.soft else (),
        )

    def _keep(self, fitted: Fitted) -> None:
        self._fitted = fitted
        self.strength_ = fitted.belief.strength
        self.served_ = fitted.served
        self.model_ = fitted.model

    def _trust(self) -> NDArray[np.float64]:
        """How far rows with interactions that follow the source are trusted to it."""
        mapped = self.served_.mapped
        counts = np.diff(mapped.seen.indptr)
        everybody = np.arange(len(counts))
        rows = everybody[(counts > 0) & mapped.belief.follows(everybody, counts)]
        return self.served_.trust(rows, mapped.seen[rows], self.num_threads)
