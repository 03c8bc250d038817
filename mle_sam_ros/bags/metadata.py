"""What whoever recorded a bag noted about the whole of it."""

import yaml


def noted_pairs(content: object) -> dict[str, str]:
    """The entry `custom_data` of rosbag2's metadata as text; nothing where it is no mapping."""
    return {str(k): str(v) for k, v in content.items()} if isinstance(content, dict) else {}


def custom_data_of(text: str) -> dict[str, str]:
    """The custom data in the copy of `metadata.yaml` that rosbag2 puts into MCAP files.

    Nothing hangs on it, so what cannot be read says nothing.
    """
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return noted_pairs(content.get('custom_data')) if isinstance(content, dict) else {}
