"""How the Rerun viewer opens a drive: which views, and where."""

from typing import Any

from mle_sam_ros.core.manifest import Manifest


def blueprint(manifest: Manifest) -> Any:
    """Pictures and points above, what changes over time below."""
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
                views.Spatial3DView(origin='/vehicle', name='points'),
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
                views.TextLogView(origin='/log', name='log'),
                column_shares=[5, 5, 3],
            ),
            row_shares=[3, 2],
        ),
        views.TimePanel(state='collapsed', timeline='stamp'),
        views.SelectionPanel(state='collapsed'),
        views.BlueprintPanel(state='collapsed'),
    )
