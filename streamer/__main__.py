"""Where the command ``valaro`` begins, and ``python -m valaro.streamer`` where it is not on the path."""


def start() -> None:
    """Run it; Ctrl-C ends it without a page of Python, from the loading of the libraries on."""
    try:
        from .cli import main

        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # as the shell has it


if __name__ == "__main__":
    start()
