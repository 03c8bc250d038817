"""Importing the network's modules on a machine that has little more than torch."""

from importlib.util import find_spec
import sys
from unittest.mock import MagicMock

# `sam2` imports these for its configuration files and for images. Its network uses none of them.
UNUSED = ('hydra.core.global_hydra', 'iopath.common.file_io', 'PIL.Image', 'tqdm')


def stand_in_for_what_sam2_imports() -> None:
    """Put modules that hold anything, and do nothing, in the place of unused ones that lack.

    Raises:
        SystemExit: where a module that is needed is missing.
    """
    for name in UNUSED:
        parts = name.split('.')
        if find_spec(parts[0]) is None:
            for length in range(1, len(parts) + 1):
                sys.modules['.'.join(parts[:length])] = MagicMock()
    missing = [n for n in ('torch', 'numpy', 'sam2', 'mle_sam', 'mle_sam_ros') if not _is_there(n)]
    if missing:
        raise SystemExit(
            f'gpu.py: expected the modules {", ".join(missing)}, got none; from a checkout: '
            'PYTHONPATH=.:training:<directory that holds sam2>'
        )


def _is_there(name: str) -> bool:
    return find_spec(name) is not None
