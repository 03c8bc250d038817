"""What rosbag2 compressed with zstd: whole files, or messages one by one."""

from contextlib import ExitStack
from pathlib import Path
import shutil
import tempfile

from mle_sam_ros.core.errors import InputError
import zstandard

SUFFIX = '.zstd'
# No sensor's message is larger; a few damaged bytes can claim any size.
MAX_MESSAGE_BYTES = 1 << 30
_MAGIC = b'\x28\xb5\x2f\xfd'


def unpacked_file(path: Path, stack: ExitStack) -> Path:
    """The file itself, or an unpacked copy of a `.zstd` one that lives as long as the stack.

    Raises:
        InputError: for a file that is not compressed, is damaged, or does not fit on the disk.
    """
    if path.suffix != SUFFIX:
        return path
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix='mle_sam_bag_')))
    target = directory / path.stem
    num_free = shutil.disk_usage(directory).free
    try:
        with path.open('rb') as packed, target.open('wb') as plain:
            reader = zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True)
            while part := reader.read(1 << 20):
                num_free -= len(part)
                if num_free < 0:
                    raise InputError(
                        f'{path}: expected to fit on the disk of {directory.parent} when '
                        'unpacked, got more; set TMPDIR to a larger disk'
                    )
                plain.write(part)
    except zstandard.ZstdError as error:
        raise InputError(
            f'{path}: expected a file compressed with zstd, got {str(error)!r}; '
            'the file is damaged, copy it again'
        ) from None
    return target


def unpacked_message(data: bytes | memoryview, where: str) -> bytes | memoryview:
    """A serialised message, which may have been compressed by itself.

    The first bytes tell: a CDR message begins with a zero.

    Args:
        data: as stored.
        where: file and topic, for error messages.

    Raises:
        InputError: for a damaged message, or one that claims to be enormous.
    """
    if data[: len(_MAGIC)] != _MAGIC:
        return data
    try:
        num_bytes = zstandard.frame_content_size(data)
        if num_bytes > MAX_MESSAGE_BYTES:
            raise InputError(
                f'{where}: expected messages of at most {MAX_MESSAGE_BYTES >> 20} MiB, got one '
                f'that claims {num_bytes >> 20} MiB; the file is damaged, copy it again'
            )
        # The limit holds where the frame does not say how long it is.
        return zstandard.ZstdDecompressor().decompress(data, MAX_MESSAGE_BYTES)
    except zstandard.ZstdError as error:
        raise InputError(
            f'{where}: expected a message compressed with zstd, got {str(error)!r}; '
            'the file is damaged, copy it again'
        ) from None
