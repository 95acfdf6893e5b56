"""`python -m gesso`: the same as the command `gesso`, for where the script is not on the path."""

import sys

from gesso.cli import main

if __name__ == "__main__":
    sys.exit(main())
