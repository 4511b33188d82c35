"""``python -m valaro.streamer``: the command line, where the command ``valaro`` is not on the path."""

from .cli import main

if __name__ == "__main__":
    main()
