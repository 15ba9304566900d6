"""What keeps a job from running, found out before it runs: key, money, network, clock, disk, buckets, codecs."""

from venice_batch.run.doctor.checks import Finding, Probe, examine, most_serious, of_error

__all__ = ["Finding", "Probe", "examine", "most_serious", "of_error"]
