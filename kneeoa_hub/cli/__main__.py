"""Runs `kneeoa` without its script: `python -m kneeoa_hub.cli`."""

import sys

from . import main

sys.exit(main())
