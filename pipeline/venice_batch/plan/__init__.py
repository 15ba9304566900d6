"""What a run would do and cost: pure arithmetic over job, listing, manifest, catalogue and balance."""
