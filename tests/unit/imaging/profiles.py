"""Colour profiles made byte by byte, and colour arithmetic from the textbook, to hold the colour engine against."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from itertools import product

Triple = tuple[float, float, float]
Matrix = tuple[Triple, Triple, Triple]

D50: Triple = (0.9642, 1.0, 0.8249)
#: Columns: the colorants of red, green and blue, adapted to D50, as the profiles of these spaces state them.
SRGB: Matrix = ((0.43607, 0.38515, 0.14307), (0.22249, 0.71687, 0.06061), (0.01392, 0.09708, 0.71410))
DISPLAY_P3: Matrix = ((0.51512, 0.29198, 0.15710), (0.24120, 0.69225, 0.06657), (-0.00105, 0.04189, 0.78407))
ADOBE_RGB: Matrix = ((0.60974, 0.20528, 0.14919), (0.31111, 0.62567, 0.06322), (0.01947, 0.06087, 0.74457))
ADOBE_GAMMA = 563 / 256


def srgb_to_linear(level: float) -> float:
    """Return the light, 0 to 1, of a level of sRGB or Display P3, 0 to 1."""
    return level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4


def linear_to_srgb(light: float) -> float:
    light = min(1.0, max(0.0, light))
    return light * 12.92 if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055


def matrix_profile(name: str, colorants: Matrix, curve: Callable[[float], float]) -> bytes:
    """Make a version 2 display profile from colorants and one tone curve."""
    tags = {
        b"desc": _description(name),
        b"wtpt": _xyz(D50),
        **{
            letter + b"XYZ": _xyz(column)
            for letter, column in zip((b"r", b"g", b"b"), _columns(colorants), strict=True)
        },
    }
    table = [round(curve(step / 1023) * 65535) for step in range(1024)]
    trc = b"curv" + bytes(4) + struct.pack(">I1024H", 1024, *table)
    return _profile(b"mntr", b"RGB ", b"XYZ ", {**tags, b"rTRC": trc, b"gTRC": trc, b"bTRC": trc})


def cmyk_profile(lab_of: Callable[[int, int, int, int], Triple]) -> bytes:
    """Make a version 2 printer profile from the L*a*b* of each of the 16 mixtures of full inks."""
    nodes = b"".join(bytes(_lab8(lab_of(*inks))) for inks in product((0, 1), repeat=4))
    ramp = bytes(range(256))
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + ramp * 4 + nodes + ramp * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"desc": _description("Inks"), b"wtpt": _xyz(D50), b"A2B0": table})


def to_srgb(rgb: Sequence[int], colorants: Matrix, curve: Callable[[float], float]) -> tuple[int, ...]:
    """Convert one 8-bit colour by the textbook."""
    light = [curve(level / 255) for level in rgb]
    return xyz_to_srgb(_times(colorants, (light[0], light[1], light[2])))


def xyz_to_srgb(xyz: Triple) -> tuple[int, ...]:
    return tuple(round(linear_to_srgb(light) * 255) for light in _times(_inverse(SRGB), xyz))


def lab_to_srgb(lab: Triple) -> tuple[int, ...]:
    fy = (lab[0] + 16) / 116
    roots = (fy + lab[1] / 500, fy, fy - lab[2] / 200)
    x, y, z = (root**3 if root > 6 / 29 else 3 * (6 / 29) ** 2 * (root - 4 / 29) for root in roots)
    return xyz_to_srgb((x * D50[0], y * D50[1], z * D50[2]))


def delta_e(first: Sequence[int], second: Sequence[int]) -> float:
    """Return the distance of two sRGB colours in L*a*b* (CIE 1976): what is below 2 hardly anybody sees."""
    return math.dist(_lab(first), _lab(second))


def _lab(rgb: Sequence[int]) -> Triple:
    light = [srgb_to_linear(level / 255) for level in rgb]
    xyz = _times(SRGB, (light[0], light[1], light[2]))
    x, y, z = (_root(value / white) for value, white in zip(xyz, D50, strict=True))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def _root(value: float) -> float:
    return float(value ** (1 / 3)) if value > (6 / 29) ** 3 else value / (3 * (6 / 29) ** 2) + 4 / 29


def _columns(matrix: Matrix) -> list[Triple]:
    return [(row[0], row[1], row[2]) for row in zip(*matrix, strict=True)]


def _times(matrix: Matrix, vector: Triple) -> Triple:
    x, y, z = (sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)
    return x, y, z


def _inverse(matrix: Matrix) -> Matrix:
    (a, b, c), (d, e, f), (g, h, i) = matrix
    size = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    return (
        ((e * i - f * h) / size, (c * h - b * i) / size, (b * f - c * e) / size),
        ((f * g - d * i) / size, (a * i - c * g) / size, (c * d - a * f) / size),
        ((d * h - e * g) / size, (b * g - a * h) / size, (a * e - b * d) / size),
    )


def _lab8(lab: Triple) -> tuple[int, int, int]:
    return round(lab[0] * 2.55), round(lab[1] + 128), round(lab[2] + 128)


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz(value: Triple) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(_fixed(part) for part in value)


def _description(name: str) -> bytes:
    text = name.encode("ascii") + b"\0"
    return b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(4 + 4 + 2 + 1 + 67)


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    at, table, data = 132 + 12 * len(tags), b"", b""
    for name, value in tags.items():
        table += name + struct.pack(">II", at + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    head = struct.pack(">II4s4s4s4s", at + len(data), 0, bytes([2, 0x40, 0, 0]), kind, space, connection)
    date = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
    head += date + b"acsp" + bytes(28) + b"".join(_fixed(part) for part in D50)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data
