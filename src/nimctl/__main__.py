"""Run the command line interface with ``python -m nimctl``."""

from nimctl.cli import main

if __name__ == "__main__":
    main()
