"""Real-time semantic segmentation from a frame camera, an event camera and a LiDAR on ROS 2."""
