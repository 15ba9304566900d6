from tests.unit.imaging.conftest import picture, save

__all__ = ["picture", "save"]
