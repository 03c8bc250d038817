"""Where the frames stand to each other, now and a moment ago: `/tf` and `/tf_static`."""

from dataclasses import dataclass, field
from typing import Any

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.pose import pose_of
from mle_sam_ros.core.pose_track import PoseTrack
from mle_sam_ros.core.stamp import stamp_ns
from mle_sam_ros.core.transforms import inverted, matrix_from_message
import numpy as np

_BUFFER_NS = 10_000_000_000
_MAX_PATHS = 256


@dataclass
class _Link:
    """How a frame hangs on its parent: for good, or by a track of poses."""

    parent: str
    matrix: np.ndarray | None = None
    track: PoseTrack = field(default_factory=lambda: PoseTrack(_BUFFER_NS))


class TransformBuffer:
    """Static and moving transforms by frame name. Not thread-safe.

    As in tf2, a frame has one parent, a slash before its name does not count, and moving
    transforms are interpolated; other than there, they are extrapolated for a tenth of a second.
    What is static stays static, whatever is published of it as moving.

    Attributes:
        version: grows whenever a static transform or the tree itself changes.
    """

    def __init__(self) -> None:
        self.version = 0
        self._links: dict[str, _Link] = {}
        self._paths: dict[tuple[str, str], tuple[list[str], list[str]] | None] = {}

    def set(self, parent: str, child: str, parent_from_child: np.ndarray) -> None:
        """Remember a static transform; a later one of the same child replaces it.

        Raises:
            InputError: where it would close a loop.
        """
        parent, child = _name(parent), _name(child)
        known = self._links.get(child)
        if known is not None and known.parent == parent and known.matrix is not None:
            if np.array_equal(known.matrix, parent_from_child):
                return
        self._hang(child, _Link(parent, parent_from_child))

    def receive(self, message: Any, source: str, is_static: bool) -> None:
        """Remember every transform of a `tf2_msgs/TFMessage`; the good ones beside a bad one, too.

        Raises:
            InputError: for a transform that is none, which names the topic and the two frames.
        """
        faults = []
        for item in message.transforms:
            try:
                self._receive(item, is_static)
            except InputError as error:
                frames = f'{item.child_frame_id!r} in {item.header.frame_id!r}'
                faults.append(f'{source}: {frames}: {error}')
        if faults:
            raise InputError(faults[0])

    def connects(self, target: str, source: str) -> bool:
        """Whether the two frames hang together."""
        return self._path(target, source) is not None

    def static(self, target: str, source: str) -> np.ndarray | None:
        """(4, 4) target_from_source where nothing between the two moves; else None.

        Raises:
            InputError: where the two frames do not hang together.
        """
        up_target, up_source = self._checked_path(target, source)
        ends = []
        for frames in (up_target, up_source):
            common_from_end = np.eye(4)
            for frame in frames:
                matrix = self._links[frame].matrix
                if matrix is None:
                    return None
                common_from_end = matrix @ common_from_end
            ends.append(common_from_end)
        common_from_target, common_from_source = ends
        return np.linalg.inv(common_from_target) @ common_from_source

    def static_root(self, frame: str) -> str:
        """The farthest ancestor that a frame hangs on for good; itself where there is none."""
        frame = _name(frame)
        while frame in self._links and self._links[frame].matrix is not None:
            frame = self._links[frame].parent
        return frame

    def newest_ns(self, target: str, source: str) -> int | None:
        """The latest time that all that moves between two frames tells of; None if nothing moves.

        Raises:
            InputError: where the two frames do not hang together.
        """
        up_target, up_source = self._checked_path(target, source)
        links = [self._links[frame] for frame in (*up_target, *up_source)]
        return min(
            (link.track.newest_ns or 0 for link in links if link.matrix is None), default=None
        )

    def lookup(self, target: str, source: str, times_ns: np.ndarray) -> np.ndarray:
        """(K, 4, 4) target_from_source at times (K,) int64.

        Raises:
            InputError: where the two frames do not hang together, or not at these times.
        """
        up_target, up_source = self._checked_path(target, source)
        from_target = self._climb(up_target, times_ns, (target, source))
        return inverted(from_target) @ self._climb(up_source, times_ns, (target, source))

    def lookup_through(
        self, target: str, target_ns: int, source: str, times_ns: np.ndarray, fixed: str
    ) -> np.ndarray:
        """(K, 4, 4) from the source at times (K,) int64 to the target at one time.

        What stands still in the frame `fixed` stays where it is in the meantime.

        Raises:
            InputError: as `lookup`.
        """
        target_from_fixed = self.lookup(target, fixed, np.array([target_ns]))
        return target_from_fixed @ self.lookup(fixed, source, times_ns)

    def _receive(self, item: Any, is_static: bool) -> None:
        parent, child = _name(item.header.frame_id), _name(item.child_frame_id)
        if not parent or not child or parent == child:
            raise InputError('expected two frames, got one or none; fix the publisher')
        pose = pose_of(item.transform.translation, item.transform.rotation)
        if is_static:
            self.set(parent, child, matrix_from_message(item.transform))
            return
        link = self._links.get(child)
        if link is not None and link.matrix is not None:
            return
        if link is None or link.parent != parent:
            link = self._hang(child, _Link(parent))
        link.track.push(stamp_ns(item.header), pose)

    def _hang(self, child: str, link: _Link) -> _Link:
        if child in self._ancestry(link.parent):
            raise InputError(
                f'expected a tree, got a loop through {child!r}; fix the publishers of the '
                'transforms'
            )
        self._links[child] = link
        self._paths.clear()
        self.version += 1
        return link

    def _climb(self, frames: list[str], times_ns: np.ndarray, ends: tuple[str, str]) -> np.ndarray:
        """(K, 4, 4) from the first frame to the parent of the last."""
        matrix = np.broadcast_to(np.eye(4), (len(times_ns), 4, 4))
        for frame in frames:
            link = self._links[frame]
            step = link.matrix if link.matrix is not None else link.track.at(times_ns)
            if step is None:
                target, source = ends
                raise InputError(
                    f'transforms: expected {target!r} from {source!r} at {_seconds(times_ns)}, '
                    f'got {frame!r} in {link.parent!r} {link.track}; publish it sooner, and '
                    'stamped on the clock of the sensors'
                )
            matrix = step @ matrix
        return matrix

    def _checked_path(self, target: str, source: str) -> tuple[list[str], list[str]]:
        path = self._path(target, source)
        if path is None:
            known = ', '.join(sorted(self._links)) or 'none'
            raise InputError(
                f'transforms: expected a chain from {source!r} to {target!r}, got the frames '
                f'{known}; publish the missing static transform'
            )
        return path

    def _path(self, target: str, source: str) -> tuple[list[str], list[str]] | None:
        """The frames below the nearest common ancestor of two, upwards; None without one."""
        key = _name(target), _name(source)
        if key not in self._paths:
            if len(self._paths) >= _MAX_PATHS:  # frames are named by messages, without end
                self._paths.clear()
            above_target, above_source = map(self._ancestry, key)
            common = next((frame for frame in above_source if frame in above_target), None)
            self._paths[key] = None
            if common is not None:
                self._paths[key] = (
                    above_target[: above_target.index(common)],
                    above_source[: above_source.index(common)],
                )
        return self._paths[key]

    def _ancestry(self, frame: str) -> list[str]:
        frames = [frame]
        while frame in self._links:
            frame = self._links[frame].parent
            frames.append(frame)
        return frames


def _name(frame: str) -> str:
    return frame.removeprefix('/')


def _seconds(times_ns: np.ndarray) -> str:
    return f'{times_ns.min() / 1e9:.3f} to {times_ns.max() / 1e9:.3f} s'
