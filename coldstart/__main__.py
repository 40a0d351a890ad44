"""Lets ``python -m coldstart`` do what the command ``coldstart`` does."""

from coldstart.cli import main

if __name__ == "__main__":
    main()
