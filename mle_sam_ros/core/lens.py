"""Lens distortion: from the ideal image plane (z = 1) to what the lens makes of it, and back.

The three models of `sensor_msgs/CameraInfo`, as OpenCV writes them. Other kernels call `distort`.
"""

import numba
import numpy as np

PLUMB_BOB, RATIONAL_POLYNOMIAL, EQUIDISTANT = 0, 1, 2

# CameraInfo's name of each model, in the order of the numbers above, to its coefficients.
NUM_COEFFICIENTS = {'plumb_bob': 5, 'rational_polynomial': 8, 'equidistant': 4}

_MAX_STEPS = 30
_TOLERANCE = 1e-12  # of the image plane at z = 1: far below a thousandth of a pixel


@numba.njit(nogil=True, cache=True)
def distort(kind, coefficients, x, y):
    """Where the lens sends a point of the ideal image plane.

    Args:
        kind: PLUMB_BOB, RATIONAL_POLYNOMIAL or EQUIDISTANT.
        coefficients: (8,) float64, zeros behind those of the model: k1, k2, p1, p2, k3, k4, k5,
            k6; or, equidistant, k1, k2, k3, k4 (`cv2.fisheye`).
        x: of the ideal image plane, X / Z.
        y: Y / Z.

    Returns:
        The distorted x and y, to be multiplied with the camera matrix.
    """
    squared = x * x + y * y
    if kind == EQUIDISTANT:
        radius = np.sqrt(squared)
        if radius < 1e-8:  # angle and radius are the same there, and 0 / 0 is avoided
            return x, y
        angle = np.arctan(radius)
        a2 = angle * angle
        k1, k2, k3, k4 = coefficients[0], coefficients[1], coefficients[2], coefficients[3]
        scale = angle * (1 + a2 * (k1 + a2 * (k2 + a2 * (k3 + a2 * k4)))) / radius
        return x * scale, y * scale
    k1, k2, p1, p2, k3 = (
        coefficients[0], coefficients[1], coefficients[2], coefficients[3], coefficients[4],
    )  # fmt: skip
    radial = 1 + squared * (k1 + squared * (k2 + squared * k3))
    if kind == RATIONAL_POLYNOMIAL:
        k4, k5, k6 = coefficients[5], coefficients[6], coefficients[7]
        radial /= 1 + squared * (k4 + squared * (k5 + squared * k6))
    xy = 2 * x * y
    return (
        x * radial + p1 * xy + p2 * (squared + 2 * x * x),
        y * radial + p1 * (squared + 2 * y * y) + p2 * xy,
    )


@numba.njit(nogil=True, cache=True)
def undistort(kind, coefficients, squared_radius_limit, distorted):
    """The points of the ideal image plane that the lens sends to these.

    Args:
        kind: as `distort`.
        coefficients: as `distort`.
        squared_radius_limit: x² + y² up to which the model can be inverted (`fold_of`).
        distorted: (N, 2) float64.

    Returns:
        (N, 2) float64; NaN where no point within the limit is sent.
    """
    ideal = np.empty_like(distorted)
    h = 1e-7
    for i in range(len(distorted)):
        xd, yd = distorted[i]
        x, y = xd, yd
        has_converged = False
        if kind == EQUIDISTANT:
            # Radial alone: in angles, where the polynomial is tame even at 180 degrees.
            k1, k2, k3, k4 = coefficients[0], coefficients[1], coefficients[2], coefficients[3]
            radius = np.sqrt(xd * xd + yd * yd)
            angle = radius
            for _ in range(_MAX_STEPS):
                a2 = angle * angle
                error = angle * (1 + a2 * (k1 + a2 * (k2 + a2 * (k3 + a2 * k4)))) - radius
                slope = 1 + a2 * (3 * k1 + a2 * (5 * k2 + a2 * (7 * k3 + a2 * 9 * k4)))
                if abs(error) < _TOLERANCE or slope <= 0:
                    has_converged = slope > 0
                    break
                angle -= error / slope
            has_converged &= 0 <= angle < np.pi / 2
            if has_converged and radius > 0:
                x, y = xd * np.tan(angle) / radius, yd * np.tan(angle) / radius
        else:
            for _ in range(_MAX_STEPS):
                u, v = distort(kind, coefficients, x, y)
                if abs(u - xd) + abs(v - yd) < _TOLERANCE:
                    has_converged = True
                    break
                ux, vx = distort(kind, coefficients, x + h, y)
                uy, vy = distort(kind, coefficients, x, y + h)
                a, b, c, d = (ux - u) / h, (uy - u) / h, (vx - v) / h, (vy - v) / h
                determinant = a * d - b * c
                if not determinant > 0:  # past the fold, where the image is turned inside out
                    break
                x -= (d * (u - xd) - b * (v - yd)) / determinant
                y -= (a * (v - yd) - c * (u - xd)) / determinant
        if has_converged and x * x + y * y <= squared_radius_limit:
            ideal[i] = x, y
        else:
            ideal[i] = np.nan
    return ideal


def fold_of(kind: int, coefficients: np.ndarray) -> float:
    """The x² + y² where the radial part turns and folds the image back; inf if it never does.

    A rational polynomial also ends at its pole.

    Args:
        kind: as `distort`.
        coefficients: as `distort`.
    """
    # Every radial part is r N(r²) / D(r²), polynomials in s = r² (equidistant: s = angle²);
    # its derivative has the sign of N D + 2 s (N' D - N D').
    polynomial = np.polynomial.Polynomial
    denominator = polynomial([1.0])
    if kind == EQUIDISTANT:
        numerator = polynomial([1.0, *coefficients[:4]])
    else:
        numerator = polynomial([1.0, coefficients[0], coefficients[1], coefficients[4]])
        denominator = polynomial([1.0, *coefficients[5:8]])
    s = polynomial([0.0, 2.0])
    slope = numerator * denominator + s * (
        numerator.deriv() * denominator - numerator * denominator.deriv()
    )
    ends = [_first_positive_root(slope), _first_positive_root(denominator)]
    if kind != EQUIDISTANT:
        return min(ends)
    angle = np.sqrt(ends[0])
    return float(np.tan(angle) ** 2) if angle < np.pi / 2 else np.inf


def _first_positive_root(polynomial: np.polynomial.Polynomial) -> float:
    # In 1 / s the constant leads, and it is 1: no division by vanishing coefficients.
    roots = np.roots(polynomial.coef)
    positive = roots.real[(np.abs(roots.imag) < 1e-9) & (roots.real > 1e-9)]
    return 1 / float(positive.max()) if positive.size else np.inf
