"""What a plan reads: the listing, headers, hashes, files that the job names, and questions to the manifest."""
