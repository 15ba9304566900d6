"""What keeps a job from running, found out before it runs: key, money, network, clock, disk, buckets, codecs."""

from pipeline.run.doctor.examining import Finding, Probe, examine, gravest, of_error

__all__ = ["Finding", "Probe", "examine", "gravest", "of_error"]
