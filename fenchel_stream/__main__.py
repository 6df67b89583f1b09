"""``python -m fenchel_stream``: the command ``fenchel-stream``."""

import sys

from fenchel_stream.cli import main

if __name__ == "__main__":
    sys.exit(main())
