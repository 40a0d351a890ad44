"""Warm-start a BPR model of implicit: the code that serves it stays as it is.

python examples/implicit_bpr.py
"""

from implicit.bpr import BayesianPersonalizedRanking

from coldstart import WarmStart
from coldstart.adapters import RidgeAdapter
from coldstart.datasets import make_cross_domain


def main() -> None:
    """Fit, serve by implicit itself, and serve people whom implicit's model has never seen."""
    films, books = make_cross_domain(n_users=300, rng=0)
    settings = BayesianPersonalizedRanking(
        factors=16, learning_rate=0.05, iterations=50, num_threads=1, random_state=0
    )
    warm = WarmStart(settings, RidgeAdapter(1.0, normalize=True), rng=0).fit(films, books)
    print(warm.report_)

    model = warm.model_  # implicit's own class, trained: what production has today takes it
    ids, scores = model.recommend(0, books.user_items[0], N=5)
    print(f"implicit, {next(iter(books.users))}: {[books.items.ids[i] for i in ids]}")
    assert type(model) is type(settings)
    assert len(scores) == 5

    newcomers = [user for user in films.users if user not in books.users][:3]
    lists, _ = warm.recommend(newcomers, n=5)
    for user, listed in zip(newcomers, lists, strict=True):
        print(f"never seen in books, {user}: {listed.tolist()}")


if __name__ == "__main__":
    main()
