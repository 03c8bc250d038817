"""Shared by all tests: helpers in test/ import by name, and time limits suit a busy machine."""

from pathlib import Path
import sys

from hypothesis import settings

sys.path[:0] = [str(Path(__file__).parent / room) for room in ('', 'core', 'faults', 'runtime')]

settings.register_profile('ci', deadline=None, derandomize=True)
settings.load_profile('ci')
