"""What an integrator says of a rig: one set of settings for the node and for replays."""

from dataclasses import dataclass, field

from mle_sam_ros.core.alignment import Alignment
from mle_sam_ros.core.cloud import LidarSettings
from mle_sam_ros.core.ego_motion import MotionSettings


@dataclass(frozen=True)
class RigSettings:
    """How a rig's messages are to be taken. Everything about the model stands in its bundle.

    Attributes:
        camera_rectified: whether the camera's images are rectified, so that P and R of its
            CameraInfo count, not K and D.
        num_lidars: LiDARs that are merged into one: on lidar/points, lidar_2/points and so on.
        motion: where the vehicle's motion comes from, which moves LiDAR points to the instant of
            the image: none, odometry (nav_msgs/Odometry on odometry), twist
            (geometry_msgs/TwistStamped on twist), or tf (/tf, through fixed_frame).
        fixed_frame: frame of /tf in which the world stands still, such as odom; for motion tf.
        ground_frame: frame of the transforms whose z points up and is 0 on the ground, such as
            base_footprint; depth images need it, unless they are HHA already. A calibration file
            gives it as camera_from.ground.
        lidar: how LiDARs are read.
        alignment: how the streams are paired in time.
    """

    camera_rectified: bool = False
    num_lidars: int = 1
    motion: str = 'none'
    fixed_frame: str = ''
    ground_frame: str = ''
    lidar: LidarSettings = field(default_factory=LidarSettings)
    alignment: Alignment = field(default_factory=Alignment)

    @property
    def motion_settings(self) -> MotionSettings:
        """Where the vehicle's motion is taken from.

        Raises:
            InputError: for an unknown source, or tf without a fixed frame.
        """
        return MotionSettings(self.motion, self.fixed_frame)
