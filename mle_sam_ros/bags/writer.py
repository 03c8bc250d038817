"""Writing recordings: MCAP as rosbag2 has it."""

from collections.abc import Mapping
import os
from pathlib import Path
from typing import Any, Literal

from mcap.writer import CompressionType, Writer
from mle_sam_ros.bags.typestore import typestore
from mle_sam_ros.core.errors import InputError

# Whoever plays the recording must offer these to those who come late, as their publisher did; in
# the numbers that rosbag2 of every distribution reads: keep the last, reliable, transient local.
_LATCHED = frozenset({'/tf_static'})
_LATCHED_QOS = """\
- history: 1
  depth: 100
  reliability: 1
  durability: 1
  deadline: {sec: 0, nsec: 0}
  lifespan: {sec: 0, nsec: 0}
  liveliness: 1
  liveliness_lease_duration: {sec: 0, nsec: 0}
  avoid_ros_namespace_conventions: false
"""


class BagWriter:
    """Writes one `.mcap` file, whole or not at all.

    Messages go to a temporary file beside the target. `close` gives it its name; leaving the
    `with` block by an exception, or `discard`, removes it. Identical calls give identical bytes.

    ```python
    with BagWriter('drive.mcap') as bag:
        bag.write('/camera/image', messages.image(pixels, 'rgb8', stamp_ns, frame), log_time_ns)
    ```
    """

    def __init__(
        self,
        path: Path | str,
        custom_data: Mapping[str, str] | None = None,
        compression: Literal['zstd', 'lz4', 'none'] = 'zstd',
    ) -> None:
        """Open the temporary file.

        Args:
            path: of the file to be.
            custom_data: what to note about the whole recording, as
                `ros2 bag record --custom-data` does.
            compression: of its chunks. Of what a replay writes, `lz4` makes a quarter more bytes
                in a fifth of the time; `none` writes no checksums either, as rosbag2 does it
                unless told otherwise.

        Raises:
            InputError: for a name that does not end in .mcap, or a directory that is not there.
        """
        self.path = Path(path)
        if self.path.suffix != '.mcap' or self.path.is_dir():
            raise InputError(
                f'{self.path}: expected the name of a .mcap file to write, got another; rename it'
            )
        if not self.path.parent.is_dir():
            raise InputError(
                f'{self.path}: expected an existing directory, got {self.path.parent}; make it'
            )
        self._temporary = self.path.with_name(f'.{self.path.stem}-{os.getpid()}.part')
        self._stream = self._temporary.open('wb')
        self._writer = Writer(
            self._stream,
            compression=CompressionType[compression.upper()],
            enable_crcs=compression != 'none',
        )
        # The default would name the version of the library, and bytes would change with it.
        self._writer.start(profile='ros2', library='mle_sam_ros')
        if custom_data:
            self.note('custom_data', custom_data)
        self._schema_ids: dict[str, int] = {}
        self._channel_ids: dict[str, tuple[int, str]] = {}

    def write(self, topic: str, message: Any, log_time_ns: int) -> None:
        """Append a message of `bags.messages` or of a reader."""
        name = message.__msgtype__
        self.write_raw(topic, name, typestore().serialize_cdr(message, name), log_time_ns)

    def write_raw(
        self, topic: str, message_type: str, cdr: bytes | memoryview, log_time_ns: int
    ) -> None:
        """Append a serialised message.

        Args:
            topic: its name.
            message_type: `package/msg/Type`, known to the typestore.
            cdr: with the encapsulation header, as rclpy and rosbags give it.
            log_time_ns: when it arrived.

        Raises:
            InputError: for an unknown type, or a second type on the same topic.
        """
        if topic not in self._channel_ids:
            schema_id = self._schema_id(message_type)
            metadata = {'offered_qos_profiles': _LATCHED_QOS} if topic in _LATCHED else {}
            channel_id = self._writer.register_channel(topic, 'cdr', schema_id, metadata)
            self._channel_ids[topic] = (channel_id, message_type)
        channel_id, first_type = self._channel_ids[topic]
        if message_type != first_type:
            raise InputError(
                f'{self.path}: expected {first_type} on {topic}, got {message_type}; '
                'write one type per topic'
            )
        self._writer.add_message(channel_id, log_time_ns, cdr, publish_time=log_time_ns)

    def note(self, name: str, content: Mapping[str, str]) -> None:
        """Append a metadata record, which is about the whole recording."""
        self._writer.add_metadata(name, dict(content))

    def close(self) -> None:
        """Complete the file and give it its name, replacing an older one."""
        self._writer.finish()
        self._stream.close()
        self._temporary.replace(self.path)

    def discard(self) -> None:
        """Remove what was written so far."""
        self._stream.close()
        self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> 'BagWriter':
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def _schema_id(self, message_type: str) -> int:
        if message_type not in self._schema_ids:
            store = typestore()
            if message_type not in store.types:
                raise InputError(
                    f'{self.path}: expected a message type of ROS 2 or EventPacket, got '
                    f'{message_type}; leave its topic out'
                )
            definition, _ = store.generate_msgdef(message_type, ros_version=2)
            self._schema_ids[message_type] = self._writer.register_schema(
                message_type, 'ros2msg', definition.encode()
            )
        return self._schema_ids[message_type]
