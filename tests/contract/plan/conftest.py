"""Plans of jobs whose places are in a bucket: the bench of the unit tests, whose state is a folder."""

from tests.unit.plan.conftest import bench

__all__ = ["bench"]
