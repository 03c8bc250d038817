"""Writes docs/parameters.md: `python test/parameters_page.py`; a test compares the two."""

from pathlib import Path

from mle_sam_ros.ros.parameters import AT_CONFIGURE, AT_ONCE, AT_START, Setting, settings

PAGE = Path(__file__).parent.parent / 'docs' / 'parameters.md'
_HEAD = f"""# Parameters

Everything about the model stands in its bundle; these are the vehicle's. `ros2 param describe
/mle_sam/perception NAME` shows the same. Times are nanoseconds unless the name ends in `_s` or
`_ms`; a range holds both of its ends. This page is written by `test/parameters_page.py`.

* **once**: takes effect {AT_ONCE}, between two messages, without losing a frame. Of a stream whose
  offset changes, the samples so far are forgotten.
* **configure**: takes effect {AT_CONFIGURE}; can be set while the node is unconfigured, and is
  refused with the reason while it is configured. So a bundle or an engine is exchanged with
  `ros2 lifecycle set … deactivate`, `cleanup`, `ros2 param set … bundle …`, `configure`,
  `activate`.
* **start**: takes effect {AT_START}; read-only.

A change that makes no sense together with the other values is refused as a whole. The reliability,
depth and durability of every topic can be set at the start, as
`qos_overrides./camera/image.subscription.reliability: reliable` (the topic's name as remapped;
`publisher` for outputs).

| parameter | type | default | range or choices | takes effect | |
|---|---|---|---|---|---|
"""
_MOMENTS = {AT_ONCE: 'once', AT_CONFIGURE: 'configure', AT_START: 'start'}


def page() -> str:
    return _HEAD + ''.join(f'| {" | ".join(_cells(setting))} |\n' for setting in settings())


def _cells(setting: Setting) -> list[str]:
    limits = ', '.join(f'`{choice}`' for choice in setting.choices)
    if setting.range is not None:
        limits = ' … '.join(f'{setting.type(limit):_}' for limit in setting.range)
    default = f'`{setting.default!r}`' if setting.default != '' else ''
    if setting.type is int:
        default = f'`{setting.default:_}`'
    if setting.type is bool:
        default = f'`{str(setting.default).lower()}`'
    if setting.is_optional and not setting.default:
        default += ' (none)'
    return [
        f'`{setting.name}`',
        setting.type.__name__,
        default.replace("'", ''),
        limits,
        _MOMENTS[setting.takes_effect],
        setting.description,
    ]


if __name__ == '__main__':
    PAGE.write_text(page())
