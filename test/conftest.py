"""Shared by all tests: helpers in test/ import by name, and time limits suit a busy machine."""

from pathlib import Path
import sys

from hypothesis import settings

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / 'core')]

settings.register_profile('ci', deadline=None, derandomize=True)
settings.load_profile('ci')
