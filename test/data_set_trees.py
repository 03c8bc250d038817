"""Small trees in the layouts of DSEC, M3ED and KITTI, with made-up content."""

import json
from pathlib import Path

import cv2
import h5py
import hdf5plugin
import numpy as np
import yaml

# DSEC
DSEC_FRAME_HW, DSEC_EVENT_HW = (108, 144), (480, 640)
DSEC_START_US = 49_599_300_523  # of the day
DSEC_OFFSET_US = 49_599_200_000
DSEC_FRAMES = 4
T_10 = [[0.9999, -0.01, 0.0, 0.04], [0.01, 0.9999, 0.0, 0.001], [0, 0, 1, 0.002], [0, 0, 0, 1]]
_C, _S = float(np.cos(0.02)), float(np.sin(0.02))
R_RECT1 = [[_C, 0.0, _S], [0.0, 1.0, 0.0], [-_S, 0.0, _C]]
T_LIDAR_CAMRECT1 = [[0.0, 0, 1, 0.4], [-1, 0, 0, 0.25], [0, -1, 0, -0.2], [0, 0, 0, 1]]
DSEC_EVENT_FOCAL = [550.0, 551.0, 320.5, 240.25]
DSEC_LENS = [-0.09, 0.17, 0.001, -0.0005]

# M3ED
M3ED_FRAME_HW, M3ED_EVENT_HW = (80, 128), (720, 1280)
M3ED_FRAMES, M3ED_SWEEPS, BEAMS, COLUMNS = 3, 2, 16, 64
T_RGB = [[1.0, 0, 0, 0.05], [0, 1, 0, 0.0], [0, 0, 1, 0.01], [0, 0, 0, 1]]
T_OUSTER = [[0.0, -1, 0, 0.02], [0, 0, -1, -0.1], [1, 0, 0, -0.05], [0, 0, 0, 1]]
OUSTER = {
    'beam_altitude_angles': np.linspace(15, -15, BEAMS).tolist(),
    'beam_azimuth_angles': [3.0, -3.0] * (BEAMS // 2),
    'lidar_origin_to_beam_origin_mm': 15.806,
    'lidar_to_sensor_transform': [-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1, 36.18, 0, 0, 0, 1],
    'data_format': {'columns_per_frame': COLUMNS, 'columns_per_packet': 16},
}

# KITTI
KITTI_HW, KITTI_FRAMES = (37, 124), 3
P_RECT_02 = [[72.0, 0, 60.5, 45.0], [0, 72.0, 17.5, -0.3], [0, 0, 1, 0.005]]
R_RECT_00 = [[_C, _S, 0.0], [-_S, _C, 0.0], [0.0, 0.0, 1.0]]
VELO_R, VELO_T = [[0.0, -1, 0], [0, 0, -1], [1, 0, 0]], [-0.004, -0.08, -0.27]


def dsec_events(count: int = 4000) -> dict[str, np.ndarray]:
    """A quarter of a second, then nothing for 35 ms, then a little more."""
    rng = np.random.default_rng(5)
    t = np.sort(rng.integers(100_000, 350_000, count))
    t[-50:] += 35_000
    return {
        'x': rng.integers(0, 640, count).astype(np.uint16),
        'y': rng.integers(0, 480, count).astype(np.uint16),
        't': t.astype(np.uint32),
        'p': rng.integers(0, 2, count).astype(np.uint8),
    }


def picture(index: int, size_hw: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 256, (*size_hw, 3), np.uint8)


def _save_picture(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels[:, :, ::-1])


def write_dsec(root: Path) -> Path:
    for index in range(DSEC_FRAMES):
        path = root / 'images' / 'left' / 'rectified' / f'{index:06d}.png'
        _save_picture(path, picture(index, DSEC_FRAME_HW))
    stamps = [DSEC_START_US + index * 50_000 for index in range(DSEC_FRAMES)]
    (root / 'images' / 'timestamps.txt').write_text(''.join(f'{stamp}\n' for stamp in stamps))
    (root / 'events' / 'left').mkdir(parents=True)
    with h5py.File(root / 'events' / 'left' / 'events.h5', 'w') as file:
        for name, column in dsec_events().items():
            codec = hdf5plugin.Blosc(cname='zstd')
            file.create_dataset(f'events/{name}', data=column, **codec)
        file['t_offset'] = np.int64(DSEC_OFFSET_US)
        file['ms_to_idx'] = np.zeros(300, np.uint64)
    height, width = DSEC_FRAME_HW
    cam_to_cam = {
        'intrinsics': {
            'cam0': {
                'camera_model': 'pinhole', 'camera_matrix': DSEC_EVENT_FOCAL,
                'distortion_coeffs': DSEC_LENS, 'distortion_model': 'radtan',
                'resolution': list(DSEC_EVENT_HW[::-1]),
            },
            'camRect1': {
                'camera_model': 'pinhole', 'camera_matrix': [115.0, 115.0, 71.5, 53.5],
                'resolution': [width, height],
            },
        },
        'extrinsics': {'T_10': T_10, 'R_rect1': R_RECT1},
    }  # fmt: skip
    (root / 'calibration').mkdir()
    (root / 'calibration' / 'cam_to_cam.yaml').write_text(yaml.safe_dump(cam_to_cam))
    lidar = {'T_lidar_camRect1': T_LIDAR_CAMRECT1}
    (root / 'calibration' / 'cam_to_lidar.yaml').write_text(yaml.safe_dump(lidar))
    return root


def ouster_packets(sweep: int) -> tuple[np.ndarray, np.ndarray]:
    """(packets, bytes) uint8 of a sweep, and the (COLUMNS, BEAMS) millimetres that they say."""
    rng = np.random.default_rng((sweep, 4))
    millimetres = rng.integers(500, 90_000, (COLUMNS, BEAMS)) * (
        rng.random((COLUMNS, BEAMS)) > 0.2
    )
    columns = b''
    for index in range(COLUMNS):
        time_ns = 7_000_000_000 + sweep * 100_000_000 + index * 1_500_000
        columns += time_ns.to_bytes(8, 'little') + index.to_bytes(2, 'little') + bytes(6)
        for beam in range(BEAMS):
            # The upper bits of the range are flags.
            word = int(millimetres[index, beam]) | 0xF0000000
            columns += (
                word.to_bytes(4, 'little') + bytes([9, 0]) + (100 + beam).to_bytes(2, 'little')
            )
            columns += bytes(4)
        columns += b'\xff' * 4 if index != 5 else bytes(4)  # one column was lost
    packets = np.frombuffer(columns, np.uint8).reshape(COLUMNS // 16, -1)
    # The data set keeps a byte more than a packet has.
    return np.pad(packets, ((0, 0), (0, 1))), millimetres


def m3ed_events(count: int = 1500) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(6)
    return {
        'x': rng.integers(0, 1280, count).astype(np.uint16),
        'y': rng.integers(0, 720, count).astype(np.uint16),
        't': np.sort(rng.integers(0, 150_000, count)).astype(np.int64),
        'p': rng.integers(0, 2, count).astype(np.int8),
    }


def write_m3ed(path: Path) -> Path:
    with h5py.File(path, 'w') as file:
        images = [picture(index, M3ED_FRAME_HW)[:, :, ::-1] for index in range(M3ED_FRAMES)]
        file.create_dataset('ovc/rgb/data', data=np.stack(images), compression='lzf')
        file['ovc/ts'] = np.arange(M3ED_FRAMES) * 40_000
        for name, column in m3ed_events().items():
            file.create_dataset(f'prophesee/left/{name}', data=column, compression='lzf')
        for group, pose, size_hw in (
            ('ovc/rgb', T_RGB, M3ED_FRAME_HW),
            ('prophesee/left', np.eye(4).tolist(), M3ED_EVENT_HW),
        ):
            file[f'{group}/calib/T_to_prophesee_left'] = np.array(pose)
            file[f'{group}/calib/intrinsics'] = np.array([100.0, 101.0, 63.5, 39.5])
            file[f'{group}/calib/distortion_coeffs'] = np.array([-0.1, 0.05, 0.001, 0.002])
            file[f'{group}/calib/resolution'] = np.array(size_hw[::-1])
            file[f'{group}/calib/camera_model'] = 'pinhole'
            file[f'{group}/calib/distortion_model'] = 'radtan'
        file['ouster/calib/T_to_prophesee_left'] = np.array(T_OUSTER)
        file['ouster/metadata'] = json.dumps(OUSTER)
        sweeps = [ouster_packets(index)[0] for index in range(M3ED_SWEEPS)]
        file.create_dataset('ouster/data', data=np.stack(sweeps), compression='lzf')
        file['ouster/ts_start'] = np.arange(M3ED_SWEEPS) * 100_000 + 5_000
        file['ouster/ts_end'] = np.arange(M3ED_SWEEPS) * 100_000 + 103_000
    return path


def kitti_points(index: int, count: int = 40) -> np.ndarray:
    points = np.random.default_rng((index, 7)).uniform(-40, 40, (count, 4))
    points[:, 3] = np.clip(points[:, 3], 0, 1)
    return points.astype(np.float32)


def write_kitti(root: Path) -> Path:
    drive = root / '2011_09_26' / '2011_09_26_drive_0001_sync'

    def write_times(path: Path, delay_ms: int) -> None:
        lines = [
            f'2011-09-26 13:02:{25 + (index * 100 + delay_ms) // 1000:02d}.'
            f'{(index * 100 + delay_ms) % 1000:03d}951199'
            for index in range(KITTI_FRAMES)
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('\n'.join(lines) + '\n')

    write_times(drive / 'image_02' / 'timestamps.txt', 60)
    for name, delay_ms in (('timestamps', 55), ('timestamps_start', 5), ('timestamps_end', 105)):
        write_times(drive / 'velodyne_points' / f'{name}.txt', delay_ms)
    (drive / 'velodyne_points' / 'data').mkdir()
    for index in range(KITTI_FRAMES):
        name = f'{index:010d}'
        _save_picture(drive / 'image_02' / 'data' / f'{name}.png', picture(index, KITTI_HW))
        if index != 1:  # one sweep is missing, as in some drives
            kitti_points(index).tofile(drive / 'velodyne_points' / 'data' / f'{name}.bin')

    def line(name: str, values: object) -> str:
        return f'{name}: {" ".join(f"{value:e}" for value in np.ravel(values))}\n'

    (drive.parent / 'calib_cam_to_cam.txt').write_text(
        'calib_time: 09-Jan-2012 13:57:47\n'
        + line('R_rect_00', R_RECT_00)
        + line('S_rect_02', [KITTI_HW[1], KITTI_HW[0]])
        + line('P_rect_02', P_RECT_02)
    )
    (drive.parent / 'calib_velo_to_cam.txt').write_text(
        'calib_time: 15-Mar-2012 11:37:16\n' + line('R', VELO_R) + line('T', VELO_T)
    )
    return drive
