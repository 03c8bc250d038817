"""The annotated recording: what the node would have published, beside what the camera saw."""

import cv2
from mle_sam_ros.bags import messages
from mle_sam_ros.bags.writer import BagWriter
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.core.outputs import colour_label_map, overlay
from mle_sam_ros.core.pipeline import Prediction
from mle_sam_ros.core.trust import trust_statuses
import numpy as np

# The node's topics, in its default namespace.
MASK_TOPIC = '/mle_sam/perception/mask'
CONFIDENCE_TOPIC = '/mle_sam/perception/confidence'
OVERLAY_TOPIC = '/mle_sam/perception/overlay/compressed'
ROUTER_WEIGHTS_TOPIC = '/mle_sam/perception/router_weights'
CAMERA_INFO_TOPIC = '/mle_sam/perception/camera_info'
CAMERA_TOPIC = '/camera/image/compressed'
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 88]


def write_prediction(
    bag: BagWriter,
    prediction: Prediction,
    manifest: Manifest,
    camera: CameraModel | None,
    log_time_ns: int,
) -> None:
    """Append one prediction, all with the camera image's stamp and frame.

    Args:
        bag: to write to.
        prediction: of the pipeline. Its timings are left out: they differ from run to run.
        manifest: of the bundle.
        camera: at the size of its images, where known.
        log_time_ns: when the sensor set was complete.
    """
    stamp_ns, frame_id = prediction.stamp_ns, prediction.frame_id
    mask = messages.image(prediction.label_map, 'mono8', stamp_ns, frame_id)
    confidence = messages.image(prediction.confidence, 'mono8', stamp_ns, frame_id)
    statuses = trust_statuses(prediction, manifest.modality_names)
    del statuses['timings']
    weights = messages.diagnostics(statuses, stamp_ns, frame_id)
    bag.write(MASK_TOPIC, mask, log_time_ns)
    bag.write(CONFIDENCE_TOPIC, confidence, log_time_ns)
    bag.write(ROUTER_WEIGHTS_TOPIC, weights, log_time_ns)
    if prediction.image is None:
        picture = colour_label_map(prediction.label_map, manifest.palette)
    else:
        picture = overlay(prediction.image, prediction.label_map, manifest.palette)
        image = messages.compressed_image(_jpeg(prediction.image), 'jpeg', stamp_ns, frame_id)
        bag.write(CAMERA_TOPIC, image, log_time_ns)
    overlaid = messages.compressed_image(_jpeg(picture), 'jpeg', stamp_ns, frame_id)
    bag.write(OVERLAY_TOPIC, overlaid, log_time_ns)
    if camera is not None:
        info = messages.camera_info(camera, stamp_ns, frame_id)
        bag.write(CAMERA_INFO_TOPIC, info, log_time_ns)


def _jpeg(picture: np.ndarray) -> bytes:
    done, data = cv2.imencode('.jpg', picture[:, :, ::-1], _JPEG)
    assert done, 'OpenCV could not encode a JPEG'
    return data.tobytes()
