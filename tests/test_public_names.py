"""The names `import coldstart` offers."""

import importlib.metadata
import inspect

import pytest

import coldstart


@pytest.mark.parametrize("name", sorted(set(coldstart.__all__) - {"__version__"}))
def test_a_public_name_is_the_documented_object_of_that_name(name):
    public = getattr(coldstart, name)
    assert public.__name__ == name
    assert public.__module__.startswith("coldstart.")
    assert inspect.getdoc(public)


def test_a_public_name_is_looked_up_once():
    assert coldstart.ColdstartError is coldstart.ColdstartError
    assert "ColdstartError" in vars(coldstart)


def test_completion_offers_every_public_name():
    assert set(coldstart.__all__) <= set(dir(coldstart))


def test_an_unknown_name_is_an_attribute_error_that_repeats_it():
    with pytest.raises(AttributeError, match="module 'coldstart' has no attribute 'Priors'"):
        coldstart.Priors  # noqa: B018


def test_the_version_is_that_of_the_installed_package():
    assert coldstart.__version__ == importlib.metadata.version("coldstart")
