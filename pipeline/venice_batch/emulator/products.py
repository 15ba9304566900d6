"""Twelve products, each drawn from a few shapes; coordinates are hundredths of the picture's shorter side."""

from __future__ import annotations

from venice_batch.emulator.drawing import Colour, Pen

_STEEL: Colour = (70, 78, 88)
_DARK: Colour = (38, 36, 42)


def mug(pen: Pen) -> None:
    """Draw a red mug with a handle."""
    pen.ring(56, 34, 84, 68, (150, 30, 36), width=6)
    pen.block(22, 24, 66, 82, (196, 44, 48), round_by=6)
    pen.block(22, 24, 32, 80, (222, 84, 84), round_by=5)
    pen.oval(22, 19, 66, 31, (150, 30, 36))
    pen.oval(25, 21, 63, 30, (70, 40, 30))


def bottle(pen: Pen) -> None:
    """Draw a green water bottle with a label."""
    pen.block(42, 6, 58, 16, _DARK, round_by=2)
    pen.shape([(44, 15), (56, 15), (56, 24), (66, 36), (34, 36), (44, 24)], (30, 116, 78))
    pen.block(34, 33, 66, 92, (30, 116, 78), round_by=5)
    pen.block(37, 36, 42, 88, (92, 172, 132), round_by=2)
    pen.block(34, 50, 66, 72, (232, 178, 62))
    pen.oval(44, 55, 56, 67, (176, 92, 30))


def lamp(pen: Pen) -> None:
    """Draw a table lamp."""
    pen.block(47, 40, 53, 84, (140, 96, 48))
    pen.oval(32, 79, 68, 90, (110, 72, 34))
    pen.oval(32, 77, 68, 87, (150, 104, 54))
    pen.shape([(36, 12), (64, 12), (80, 48), (20, 48)], (222, 150, 44))
    pen.oval(20, 44, 80, 52, (180, 112, 26))
    pen.shape([(38, 14), (46, 14), (40, 46), (26, 46)], (240, 184, 92))


def shoe(pen: Pen) -> None:
    """Draw a blue trainer with laces."""
    upper = [(8, 42), (20, 36), (32, 34), (40, 44), (58, 54), (84, 60), (94, 68), (94, 74), (8, 74)]
    pen.shape(upper, (40, 84, 168))
    pen.shape([(8, 42), (20, 36), (24, 74), (8, 74)], (28, 58, 120))
    pen.shape([(72, 58), (84, 60), (94, 68), (94, 74), (70, 74)], (28, 58, 120))
    for step in range(4):
        pen.line([(41 + 6 * step, 47 + 2.6 * step), (36 + 6 * step, 54 + 2.6 * step)], (250, 206, 60), 1.6)
    pen.block(6, 73, 96, 81, (190, 60, 48), round_by=3)


def watch(pen: Pen) -> None:
    """Draw a wrist watch, upright: crown on the right, hands at ten past ten."""
    pen.shape([(40, 6), (60, 6), (63, 34), (37, 34)], (112, 62, 34))
    pen.shape([(37, 66), (63, 66), (60, 94), (40, 94)], (112, 62, 34))
    pen.block(72, 47, 79, 53, _STEEL, round_by=1)
    pen.oval(26, 26, 74, 74, _STEEL)
    pen.oval(30, 30, 70, 70, (24, 40, 72))
    pen.line([(50, 50), (40, 43)], (250, 250, 240), 2)
    pen.line([(50, 50), (61, 38)], (250, 250, 240), 1.4)
    pen.oval(48.5, 31.5, 51.5, 34.5, (240, 190, 70))


def bag(pen: Pen) -> None:
    """Draw a hand bag."""
    pen.arc(30, 12, 70, 70, angles=(180, 360), colour=(92, 40, 62), width=4)
    pen.shape([(20, 42), (80, 42), (90, 86), (10, 86)], (164, 66, 104))
    pen.shape([(20, 42), (80, 42), (84, 60), (16, 60)], (134, 48, 82))
    pen.block(45, 56, 55, 66, (232, 190, 80), round_by=2)


def chair(pen: Pen) -> None:
    """Draw a wooden chair."""
    wood, shade = (152, 92, 44), (112, 64, 28)
    pen.line([(30, 10), (30, 92)], shade, 4)
    pen.line([(62, 10), (62, 84)], shade, 4)
    for top in (12, 24, 36):
        pen.block(28, top, 64, top + 7, wood, round_by=2)
    pen.shape([(28, 54), (62, 54), (76, 62), (36, 62)], wood)
    pen.block(36, 62, 76, 66, shade)
    pen.line([(39, 64), (39, 94)], wood, 4)
    pen.line([(73, 64), (73, 94)], wood, 4)


def vase(pen: Pen) -> None:
    """Draw a blue vase with a band and a flower."""
    pen.line([(50, 44), (52, 14)], (60, 120, 60), 1.6)
    for x, y in ((46, 12), (58, 12), (52, 6), (52, 18)):
        pen.oval(x - 5, y - 5, x + 5, y + 5, (232, 96, 120))
    pen.oval(48, 8, 56, 16, (248, 200, 70))
    pen.block(43, 38, 57, 50, (44, 90, 150), round_by=2)
    pen.oval(28, 44, 72, 90, (44, 90, 150))
    pen.oval(34, 50, 46, 72, (104, 150, 206))
    pen.block(29, 66, 71, 71, (236, 214, 150))


def headphones(pen: Pen) -> None:
    """Draw a pair of headphones."""
    pen.arc(20, 12, 80, 92, angles=(180, 360), colour=_DARK, width=5)
    for left in (14, 70):
        pen.block(left, 48, left + 16, 82, (206, 88, 40), round_by=6)
    pen.block(26, 50, 32, 80, _DARK, round_by=3)
    pen.block(68, 50, 74, 80, _DARK, round_by=3)


def kettle(pen: Pen) -> None:
    """Draw a kettle with spout and handle."""
    pen.arc(32, 10, 68, 72, angles=(180, 360), colour=_DARK, width=5)
    pen.shape([(68, 56), (90, 34), (94, 38), (76, 74)], (30, 120, 128))
    pen.oval(20, 36, 80, 92, (36, 142, 150))
    pen.block(24, 85, 76, 93, (24, 96, 104), round_by=3)
    pen.oval(30, 44, 44, 64, (112, 192, 196))
    pen.oval(46, 29, 54, 38, _DARK)


def ring(pen: Pen) -> None:
    """Draw a gold ring with a stone."""
    pen.ring(28, 36, 72, 86, (206, 158, 52), width=5)
    pen.shape([(50, 14), (62, 24), (50, 40), (38, 24)], (64, 160, 200))


def camera(pen: Pen) -> None:
    """Draw a camera."""
    pen.block(34, 26, 60, 40, _STEEL, round_by=2)
    pen.block(12, 34, 88, 80, _DARK, round_by=4)
    pen.oval(34, 38, 66, 76, _STEEL)
    pen.oval(40, 44, 60, 70, (40, 60, 110))
    pen.block(72, 40, 82, 46, (210, 60, 50), round_by=1)
