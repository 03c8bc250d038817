"""Which wrong clock a stamp was taken from: the ones that vehicles really meet."""

_DAY_S = 86_400.0
# Leap seconds between UTC and the clocks that PTP and GPS receivers hand out, since 2017.
_TAI_AHEAD_S = 37.0
_GPS_AHEAD_S = 18.0
_NEAR_S = 0.9
# A clock that shows less counts from the start of its device; the epoch is long gone.
_OLDEST_EPOCH_S = 10 * 365 * _DAY_S


def clock_hint(stamp_s: float, delay_s: float | None) -> str:
    """The likeliest cause of stamps that do not fit the node's clock, and what to do.

    Args:
        stamp_s: a message's stamp.
        delay_s: the node's clock on its arrival, minus the stamp; None where unknown.
    """
    if delay_s is None or stamp_s == 0:
        return 'their stamps are zero: let the driver stamp them'
    now_s = stamp_s + delay_s
    if stamp_s < _OLDEST_EPOCH_S <= now_s:
        return (
            f'their stamps count from the start of the sensor ({stamp_s:.0f} s): set the driver '
            'to host or PTP time'
        )
    if now_s < _OLDEST_EPOCH_S <= stamp_s:
        return (
            f'the node runs on simulated time ({now_s:.0f} s), they on the wall clock: play them '
            'with the clock, or set use_sim_time to false'
        )
    size = f'{abs(delay_s):.3f} s {"behind" if delay_s > 0 else "ahead of"} the node'
    for name, ahead_s in (('TAI', _TAI_AHEAD_S), ('GPS time', _GPS_AHEAD_S)):
        if abs(-delay_s - ahead_s) < _NEAR_S:
            return (
                f'their stamps are {size}: {name} is {ahead_s:.0f} s ahead of UTC; let the '
                'driver or the grandmaster apply the UTC offset'
            )
    hours = round(delay_s / 3600)
    if hours and abs(hours) <= 14 and abs(delay_s - 3600 * hours) < 60:
        return f'their stamps are {size}, {abs(hours)} h: a clock on local time; set it to UTC'
    if delay_s > 3600:
        return (
            f'their stamps are {size}: for a recording set use_sim_time and play it with the '
            'clock; else synchronise the clocks'
        )
    return (
        f'their stamps are {size}: synchronise the clocks (PTP, chrony), or set the offset_ns of '
        'the stream'
    )
