"""What keeps a job from running, found out before it runs: key, money, network, clock, disk, buckets, codecs."""

from venice_batch.run.doctor.checks import Check, Finding, finding_of, most_serious, run_checks

__all__ = ["Check", "Finding", "finding_of", "most_serious", "run_checks"]
