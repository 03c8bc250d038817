"""The node with an engine that fails or takes its time while a file says so.

    python troubled_node.py TROUBLE_FILE --ros-args …

The file's content: `fail` raises in every inference, a number sleeps so many seconds.
"""

from pathlib import Path
import sys
import time

from mle_sam_ros.ros import node


class TroubledEngine:
    """Does what the file says, then what the engine does."""

    def __init__(self, engine, trouble: Path) -> None:
        self._engine, self._trouble = engine, trouble

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def infer(self, rasters, present):
        trouble = self._trouble.read_text() if self._trouble.exists() else ''
        if trouble == 'fail':
            raise RuntimeError('the device is lost')
        if trouble:
            time.sleep(float(trouble))
        return self._engine.infer(rasters, present)


if __name__ == '__main__':
    path, open_engine = Path(sys.argv.pop(1)), node.open_engine
    node.open_engine = lambda *arguments: TroubledEngine(open_engine(*arguments), path)
    sys.exit(node.main())
