"""What a frozen encoder says, kept on disk: an image that training meets again costs a file.

    <directory>/<key of the encoder>/<key of the image>.npy   (C, h, w)

Images are known by their content, so a file is never the wrong one, whatever the data set and the
order are. Only an augmentation that leaves few variants of a sample makes them come again; any
other is refused.

Shape suffixes: B batch, C channels, H height, W width; h and w of the embedding.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
import hashlib
import os
from pathlib import Path

from mle_sam_ros.core.errors import InputError
import numpy as np
import torch

DTYPES = ('float16', 'float32')


@dataclass(frozen=True)
class EmbeddingCacheConfig:
    """Where embeddings are kept, and how.

    Attributes:
        directory: runs may share it; what other weights, another precision or another dtype gave
            lies apart.
        dtype: float16, half the space and accurate to 0.05 %, or float32.
        limit_gb: space, in 10^9 bytes, that a run may need here; one that needs more is refused
            before it begins.
    """

    directory: str
    dtype: str = 'float16'
    limit_gb: float = 100.0

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES or self.limit_gb <= 0:
            raise InputError(
                f'embedding_cache: expected dtype {" or ".join(DTYPES)} and a positive limit_gb, '
                f'got {self.dtype} and {self.limit_gb}; correct the recipe'
            )

    def check_space(self, num_images: int, shape_Chw: tuple[int, int, int]) -> None:
        """Refuse a run whose embeddings would not fit.

        Raises:
            InputError: that says how much they need.
        """
        size = num_images * int(np.prod(shape_Chw)) * np.dtype(self.dtype).itemsize
        if size > self.limit_gb * 1e9:
            raise InputError(
                f'embedding_cache: expected to need at most {self.limit_gb:g} GB, got '
                f'{num_images} images of {shape_Chw} {self.dtype}, {size / 1e9:.1f} GB; raise '
                'limit_gb, choose float16, or leave out the flip'
            )


class EmbeddingCache:
    """The embeddings of one encoder."""

    def __init__(
        self,
        config: EmbeddingCacheConfig,
        encoder: Iterable[tuple[str, torch.Tensor]],
        precision: str,
    ):
        """Open, or begin, the part of the directory that belongs to an encoder.

        Args:
            config: see there.
            encoder: all that decides what it says, by name.
            precision: that it computes in.
        """
        key = hashlib.sha256(f'{precision} {config.dtype}'.encode())
        for name, tensor in encoder:
            key.update(f'{name} {tensor.dtype} {tuple(tensor.shape)}'.encode())
            key.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        self.directory = Path(config.directory) / key.hexdigest()[:16]
        self.directory.mkdir(parents=True, exist_ok=True)
        self._dtype = np.dtype(config.dtype)

    def embed(
        self, raster_BHW3: torch.Tensor, encode: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """The embeddings of a batch, (B, C, h, w) float32.

        What is not there yet is computed image by image and rounded as the file is, so that the
        result depends neither on the other images of a batch nor on who came first.

        Args:
            raster_BHW3: images as the encoder gets them.
            encode: (1, H, W, 3) to (1, C, h, w).

        Raises:
            InputError: for an embedding beyond the range of the dtype.
        """
        embeddings = [self._embedding(raster_1HW3, encode) for raster_1HW3 in raster_BHW3.split(1)]
        # Stacked by torch, whose memory is aligned: products round otherwise where it is not.
        stack_BChw = torch.stack([torch.from_numpy(embedding).float() for embedding in embeddings])
        return stack_BChw.to(raster_BHW3.device)

    def _embedding(
        self, raster_1HW3: torch.Tensor, encode: Callable[[torch.Tensor], torch.Tensor]
    ) -> np.ndarray:
        image = raster_1HW3.cpu().contiguous().numpy()
        key = hashlib.sha256(f'{image.dtype} {image.shape}'.encode())
        key.update(image)
        path = self.directory / f'{key.hexdigest()}.npy'
        embedding = _read(path)
        if embedding is None:
            with torch.no_grad():
                exact = encode(raster_1HW3)[0].float().cpu().numpy()
            embedding = self._rounded(exact)
            _write(path, embedding)
        return embedding

    def _rounded(self, exact: np.ndarray) -> np.ndarray:
        largest = np.abs(exact).max()
        if not largest <= np.finfo(self._dtype).max:
            raise InputError(
                f'embedding_cache: expected embeddings within the range of {self._dtype}, got '
                f'{largest:g}; choose float32, or leave out embedding_cache'
            )
        return exact.astype(self._dtype)


def _read(path: Path) -> np.ndarray | None:
    """None where there is nothing, or not the whole: a power cut may leave that."""
    try:
        return np.load(path)
    except (OSError, ValueError, EOFError):
        return None


def _write(path: Path, embedding: np.ndarray) -> None:
    """The file appears whole or not at all; of two processes that write it, either may win."""
    partial = path.with_suffix(f'.{os.getpid()}.partial')
    with open(partial, 'wb') as file:
        np.save(file, embedding)
    os.replace(partial, path)
