"""``python -m aioxide``: see ``cli.py``."""

from aioxide.cli import main

if __name__ == "__main__":
    # Last: the program runs in this very namespace, which is emptied for it.
    main()
