"""Twelve products, each a few shapes; later ones cover earlier ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from venice_batch.emulator.drawing import Shape

_STEEL = (70, 78, 88)
_DARK = (38, 36, 42)
_WOOD, _SHADED_WOOD = (152, 92, 44), (112, 64, 28)
_GREEN, _BLUE, _NAVY = (30, 116, 78), (44, 90, 150), (28, 58, 120)

PRODUCTS: Mapping[str, Sequence[Shape]] = {
    "mug": (
        Shape("ring", (56, 34, 84, 68), (150, 30, 36), 6),
        Shape("block", (22, 24, 66, 82), (196, 44, 48), 6),
        Shape("block", (22, 24, 32, 80), (222, 84, 84), 5),
        Shape("oval", (22, 19, 66, 31), (150, 30, 36)),
        Shape("oval", (25, 21, 63, 30), (70, 40, 30)),
    ),
    "bottle": (
        Shape("block", (42, 6, 58, 16), _DARK, 2),
        Shape("polygon", (44, 15, 56, 15, 56, 24, 66, 36, 34, 36, 44, 24), _GREEN),
        Shape("block", (34, 33, 66, 92), _GREEN, 5),
        Shape("block", (37, 36, 42, 88), (92, 172, 132), 2),
        Shape("block", (34, 50, 66, 72), (232, 178, 62)),
        Shape("oval", (44, 55, 56, 67), (176, 92, 30)),
    ),
    "lamp": (
        Shape("block", (47, 40, 53, 84), (140, 96, 48)),
        Shape("oval", (32, 79, 68, 90), (110, 72, 34)),
        Shape("oval", (32, 77, 68, 87), (150, 104, 54)),
        Shape("polygon", (36, 12, 64, 12, 80, 48, 20, 48), (222, 150, 44)),
        Shape("oval", (20, 44, 80, 52), (180, 112, 26)),
        Shape("polygon", (38, 14, 46, 14, 40, 46, 26, 46), (240, 184, 92)),
    ),
    "shoe": (
        Shape("polygon", (8, 42, 20, 36, 32, 34, 40, 44, 58, 54, 84, 60, 94, 68, 94, 74, 8, 74), (40, 84, 168)),
        Shape("polygon", (8, 42, 20, 36, 24, 74, 8, 74), _NAVY),
        Shape("polygon", (72, 58, 84, 60, 94, 68, 94, 74, 70, 74), _NAVY),
        *(Shape("line", (41 + 6 * n, 47 + 2.6 * n, 36 + 6 * n, 54 + 2.6 * n), (250, 206, 60), 1.6) for n in range(4)),
        Shape("block", (6, 73, 96, 81), (190, 60, 48), 3),
    ),
    # Crown on the right, hands at ten past ten: a picture that is turned is seen to be.
    "watch": (
        Shape("polygon", (40, 6, 60, 6, 63, 34, 37, 34), (112, 62, 34)),
        Shape("polygon", (37, 66, 63, 66, 60, 94, 40, 94), (112, 62, 34)),
        Shape("block", (72, 47, 79, 53), _STEEL, 1),
        Shape("oval", (26, 26, 74, 74), _STEEL),
        Shape("oval", (30, 30, 70, 70), (24, 40, 72)),
        Shape("line", (50, 50, 40, 43), (250, 250, 240), 2),
        Shape("line", (50, 50, 61, 38), (250, 250, 240), 1.4),
        Shape("oval", (48.5, 31.5, 51.5, 34.5), (240, 190, 70)),
    ),
    "bag": (
        Shape("arch", (30, 12, 70, 70), (92, 40, 62), 4),
        Shape("polygon", (20, 42, 80, 42, 90, 86, 10, 86), (164, 66, 104)),
        Shape("polygon", (20, 42, 80, 42, 84, 60, 16, 60), (134, 48, 82)),
        Shape("block", (45, 56, 55, 66), (232, 190, 80), 2),
    ),
    "chair": (
        Shape("line", (30, 10, 30, 92), _SHADED_WOOD, 4),
        Shape("line", (62, 10, 62, 84), _SHADED_WOOD, 4),
        *(Shape("block", (28, top, 64, top + 7), _WOOD, 2) for top in (12, 24, 36)),
        Shape("polygon", (28, 54, 62, 54, 76, 62, 36, 62), _WOOD),
        Shape("block", (36, 62, 76, 66), _SHADED_WOOD),
        Shape("line", (39, 64, 39, 94), _WOOD, 4),
        Shape("line", (73, 64, 73, 94), _WOOD, 4),
    ),
    "vase": (
        Shape("line", (50, 44, 52, 14), (60, 120, 60), 1.6),
        *(Shape("oval", (x, y, x + 10, y + 10), (232, 96, 120)) for x, y in ((41, 7), (53, 7), (47, 1), (47, 13))),
        Shape("oval", (48, 8, 56, 16), (248, 200, 70)),
        Shape("block", (43, 38, 57, 50), _BLUE, 2),
        Shape("oval", (28, 44, 72, 90), _BLUE),
        Shape("oval", (34, 50, 46, 72), (104, 150, 206)),
        Shape("block", (29, 66, 71, 71), (236, 214, 150)),
    ),
    "headphones": (
        Shape("arch", (20, 12, 80, 92), _DARK, 5),
        *(Shape("block", (left, 48, left + 16, 82), (206, 88, 40), 6) for left in (14, 70)),
        Shape("block", (26, 50, 32, 80), _DARK, 3),
        Shape("block", (68, 50, 74, 80), _DARK, 3),
    ),
    "kettle": (
        Shape("arch", (32, 10, 68, 72), _DARK, 5),
        Shape("polygon", (68, 56, 90, 34, 94, 38, 76, 74), (30, 120, 128)),
        Shape("oval", (20, 36, 80, 92), (36, 142, 150)),
        Shape("block", (24, 85, 76, 93), (24, 96, 104), 3),
        Shape("oval", (30, 44, 44, 64), (112, 192, 196)),
        Shape("oval", (46, 29, 54, 38), _DARK),
    ),
    "ring": (
        Shape("ring", (28, 36, 72, 86), (206, 158, 52), 5),
        Shape("polygon", (50, 14, 62, 24, 50, 40, 38, 24), (64, 160, 200)),
    ),
    "camera": (
        Shape("block", (34, 26, 60, 40), _STEEL, 2),
        Shape("block", (12, 34, 88, 80), _DARK, 4),
        Shape("oval", (34, 38, 66, 76), _STEEL),
        Shape("oval", (40, 44, 60, 70), (40, 60, 110)),
        Shape("block", (72, 40, 82, 46), (210, 60, 50), 1),
    ),
}
