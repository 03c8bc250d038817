"""The MLE-SAM network: training, evaluation and export."""

__version__ = '0.1.0'
