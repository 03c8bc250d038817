"""Text files of data sets."""

from pathlib import Path

from mle_sam_ros.core.errors import InputError


def read_text(path: Path) -> str:
    """The content.

    Raises:
        InputError: for what is no text.
    """
    try:
        return path.read_text(encoding='utf-8')
    except UnicodeDecodeError as error:
        raise InputError(
            f'{path}: expected a text file (UTF-8), got byte {error.object[error.start]:#04x}; '
            'download it again'
        ) from None
