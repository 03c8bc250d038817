"""Real-time semantic segmentation from a frame camera, an event camera and a LiDAR on ROS 2."""

__version__ = '0.1.0'
