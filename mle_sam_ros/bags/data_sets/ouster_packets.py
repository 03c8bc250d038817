"""Packets of an Ouster LiDAR in the layout `LEGACY`, as the sensor's user manual describes it."""

from dataclasses import dataclass
import json
from typing import Any

from mle_sam_ros.core.errors import InputError
import numpy as np

_PIXEL_BYTES = 12
_HEADER_BYTES, _FOOTER_BYTES = 16, 4
_VALID = 0xFFFFFFFF


@dataclass(frozen=True, eq=False)
class OusterGeometry:
    """What a sensor's metadata say of its beams.

    Attributes:
        columns_per_frame: of one revolution.
        columns_per_packet: of one packet.
        altitudes: (P,) float64 radians, elevation of each beam.
        azimuths: (P,) float64 radians, how far each beam is turned from the encoder.
        beam_origin_m: distance of the beams' origins from the axis.
        sensor_from_lidar: (4, 4) float64, metres.
    """

    columns_per_frame: int
    columns_per_packet: int
    altitudes: np.ndarray
    azimuths: np.ndarray
    beam_origin_m: float
    sensor_from_lidar: np.ndarray

    @property
    def packet_bytes(self) -> int:
        """Length of a packet."""
        return self.columns_per_packet * self.column_bytes

    @property
    def column_bytes(self) -> int:
        """Length of a column in a packet."""
        return _HEADER_BYTES + _PIXEL_BYTES * len(self.altitudes) + _FOOTER_BYTES


@dataclass(frozen=True, eq=False)
class OusterReturns:
    """The returns of a sweep.

    Attributes:
        xyz: (N, 3) float32 metres, in the sensor's frame.
        intensity: (N,) float32 photons, as the ROS driver gives it.
        time_ns: (N,) int64, on the sensor's clock.
        ring: (N,) uint16, beam from the top.
    """

    xyz: np.ndarray
    intensity: np.ndarray
    time_ns: np.ndarray
    ring: np.ndarray


def parse_ouster_metadata(text: str, source: str) -> OusterGeometry:
    """Read the JSON that a sensor gives of itself, in the flat or in the nested form.

    Raises:
        InputError: for text that is none, or a sensor that sends another layout.
    """
    try:
        content = json.loads(text)
        beams = content.get('beam_intrinsics', content)
        layout = content.get('lidar_data_format', content.get('data_format'))
        lidar = content.get('lidar_intrinsics', content)
        profile = layout.get('udp_profile_lidar', 'LEGACY')
        geometry = OusterGeometry(
            int(layout['columns_per_frame']),
            int(layout['columns_per_packet']),
            np.radians(np.array(beams['beam_altitude_angles'], np.float64)),
            np.radians(np.array(beams['beam_azimuth_angles'], np.float64)),
            float(beams['lidar_origin_to_beam_origin_mm']) / 1000,
            _pose(lidar['lidar_to_sensor_transform']),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f'{source}: expected the metadata of an Ouster LiDAR (JSON), got '
            f'{type(error).__name__} {str(error)[:60]}; the file is damaged, download it again'
        ) from None
    if profile != 'LEGACY' or geometry.azimuths.shape != geometry.altitudes.shape:
        raise InputError(
            f'{source}: expected udp_profile_lidar LEGACY with as many azimuths as altitudes, got '
            f'{profile} with {geometry.azimuths.size} and {geometry.altitudes.size}; '
            'decode the packets with the ouster-sdk'
        )
    return geometry


def decode_ouster_sweep(packets: np.ndarray, geometry: OusterGeometry) -> OusterReturns:
    """The returns of a sweep, in order of time; beams without an echo are left out.

    Args:
        packets: (num_packets, at least packet_bytes) uint8.
        geometry: of the sensor.
    """
    columns = np.ascontiguousarray(packets[:, : geometry.packet_bytes]).view(_column(geometry))
    columns = columns.reshape(-1)
    columns = columns[columns['status'] == _VALID]
    pixels = columns['pixels']
    distance_m = (pixels['range'] & 0xFFFFF) / 1000.0
    has_echo = distance_m > 0
    encoder = 2 * np.pi * (1 - columns['id'] / geometry.columns_per_frame)
    beam = encoder[:, None] - geometry.azimuths[None, :]
    along = (distance_m - geometry.beam_origin_m) * np.cos(geometry.altitudes)
    xyz = np.stack(
        [
            along * np.cos(beam) + geometry.beam_origin_m * np.cos(encoder)[:, None],
            along * np.sin(beam) + geometry.beam_origin_m * np.sin(encoder)[:, None],
            (distance_m - geometry.beam_origin_m) * np.sin(geometry.altitudes),
        ],
        axis=-1,
    )[has_echo]
    rotation, shift = geometry.sensor_from_lidar[:3, :3], geometry.sensor_from_lidar[:3, 3]
    rows, rings = np.nonzero(has_echo)
    return OusterReturns(
        (xyz @ rotation.T + shift).astype(np.float32),
        pixels['signal'][has_echo].astype(np.float32),
        columns['time'].astype(np.int64)[rows],
        rings.astype(np.uint16),
    )


def _column(geometry: OusterGeometry) -> np.dtype:
    pixel = np.dtype(
        {
            'names': ['range', 'signal'],
            'formats': ['<u4', '<u2'],
            'offsets': [0, 6],
            'itemsize': _PIXEL_BYTES,
        }
    )
    num_beams = len(geometry.altitudes)
    return np.dtype(
        {
            'names': ['time', 'id', 'pixels', 'status'],
            'formats': ['<u8', '<u2', (pixel, num_beams), '<u4'],
            'offsets': [0, 8, _HEADER_BYTES, _HEADER_BYTES + _PIXEL_BYTES * num_beams],
            'itemsize': geometry.column_bytes,
        }
    )


def _pose(values: Any) -> np.ndarray:
    """Row by row, millimetres."""
    pose = np.array(values, np.float64).reshape(4, 4)
    pose[:3, 3] /= 1000
    return pose
