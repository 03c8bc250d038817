"""How the Rerun viewer opens a drive: which views, and where."""

from typing import Any

from mle_sam_ros.core.manifest import Manifest


def blueprint(manifest: Manifest, has_base: bool) -> Any:
    """Pictures and points above, what changes over time below.

    Args:
        manifest: of the bundle.
        has_base: whether the vehicle has a frame of its own, x forward and z up; otherwise all
            stands in the camera's optical frame.
    """
    import rerun.blueprint as views

    image = '/vehicle/camera/image'
    rasters = [
        views.Spatial2DView(origin=f'/rasters/{name}', name=name)
        for name in manifest.modality_names[1:]
    ]
    levels = [
        views.TimeSeriesView(
            origin=f'/router_weights/level_{level}',
            name=f'trust, level {level}',
            axis_y=views.ScalarAxis(range=(0.0, 1.0)),
        )
        for level in range(manifest.router.levels)
    ]
    columns = views.TextLogColumns(
        timeline_columns=[views.encodings.TimelineColumn('stamp', visible=True)],
        text_log_columns=['LogLevel', 'Body'],
    )
    # From behind and above, looking ahead.
    if has_base:
        eye = views.EyeControls3D(position=(-9, 0, 6), look_target=(8, 0, 0), eye_up=(0, 0, 1))
    else:
        eye = views.EyeControls3D(position=(0, -5, -10), look_target=(0, 0, 8), eye_up=(0, -1, 0))
    return views.Blueprint(
        views.Vertical(
            views.Horizontal(
                views.Tabs(
                    views.Spatial2DView(origin=image, name='mask'),
                    views.Spatial2DView(origin=image, contents=[f'+ {image}'], name='camera'),
                    views.Spatial2DView(origin='/truth', name='ground truth'),
                    views.Spatial2DView(origin='/error', name='errors'),
                    views.Spatial2DView(origin='/confidence', name='confidence'),
                ),
                views.Spatial3DView(origin='/vehicle', name='points', eye_controls=eye),
                views.Vertical(*rasters, name='other sensors'),
                column_shares=[5, 5, 3],
            ),
            views.Horizontal(
                views.Tabs(*levels, name='trust'),
                views.Vertical(
                    views.TimeSeriesView(
                        origin='/miou', name='mIoU', axis_y=views.ScalarAxis(range=(0.0, 1.0))
                    ),
                    views.StateTimelineView(origin='/sensors', name='sensors'),
                ),
                views.TextLogView(origin='/log', name='log', columns=columns),
                column_shares=[5, 5, 3],
            ),
            row_shares=[3, 2],
        ),
        views.TimePanel(state='collapsed', timeline='stamp'),
        views.SelectionPanel(state='collapsed'),
        views.BlueprintPanel(state='collapsed'),
    )
