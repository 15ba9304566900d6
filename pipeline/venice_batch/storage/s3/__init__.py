"""A prefix of a bucket as a store. boto3 is imported here and nowhere else: it takes 0.2 s and 25 MB."""

from venice_batch.storage.s3.store import S3Store
from venice_batch.storage.s3.transfer import Blob

__all__ = ["Blob", "S3Store"]
