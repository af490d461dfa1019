"""``python -m magpie_hub``: the command where its script is not on the PATH."""

import sys

from magpie_hub.cli import main

sys.exit(main())
