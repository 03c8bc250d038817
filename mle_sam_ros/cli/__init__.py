"""`mle-sam`: everything but training from the command line."""

from mle_sam_ros.cli.main import main

__all__ = ['main']
