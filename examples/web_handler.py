"""A web service on a saved warm start: it recommends, and learns what is clicked.

    python examples/web_handler.py  # asks itself a few things
    pip install uvicorn; MODEL=folder uvicorn --app-dir examples web_handler:app

The model is mapped from its files, so that several workers share one copy in memory. FastAPI calls
handlers in threads: `recommend` and `update` may run at the same time.
"""

import os
from functools import lru_cache
from tempfile import TemporaryDirectory

import polars as pl
from fastapi import FastAPI, HTTPException

from coldstart import Interactions, PriorALS, WarmStart
from coldstart.errors import UnknownIdError

app = FastAPI(title="coldstart")


@lru_cache(maxsize=1)
def warm() -> WarmStart:
    """The saved model, loaded with the first request."""
    return WarmStart.load(os.environ["MODEL"], mmap=True)


@app.get("/recommend/{user}")
def recommend(user: str, n: int = 10) -> dict[str, list]:
    """Best items for a user of either catalog."""
    try:
        ids, scores = warm().recommend([user], n)
    except UnknownIdError as error:
        raise HTTPException(404, str(error)) from None
    known = [item is not None for item in ids[0]]
    return {"items": ids[0][known].tolist(), "scores": scores[0][known].tolist()}


@app.post("/click/{user}/{item}")
def click(user: str, item: str) -> dict[str, str]:
    """Fold one interaction in; neither id has to be known."""
    warm().update(Interactions.from_frame(pl.DataFrame({"user": [user], "item": [item]})))
    return {"status": "ok"}


def main() -> None:
    """Save a model, and ask the service without a server."""
    from fastapi.testclient import TestClient

    from coldstart.adapters import RidgeAdapter
    from coldstart.datasets import make_cross_domain

    films, books = make_cross_domain(n_users=300, rng=0)
    model = PriorALS(16, rng=0)
    fitted = WarmStart(model, RidgeAdapter(), strength=1.0, gate=False, rng=0).fit(films, books)
    newcomer = next(user for user in films.users if user not in books.users)
    with TemporaryDirectory() as folder:
        fitted.save(folder)
        os.environ["MODEL"] = folder
        client = TestClient(app)
        first = client.get(f"/recommend/{newcomer}", params={"n": 3}).json()
        print(f"{newcomer}: {first['items']}")
        assert client.get("/recommend/nobody").status_code == 404
        assert client.post(f"/click/nobody/{first['items'][0]}").json() == {"status": "ok"}
        told = client.get("/recommend/nobody", params={"n": 3}).json()
        print(f"nobody, after one click: {told['items']}")
        assert first["items"][0] not in told["items"]


if __name__ == "__main__":
    main()
