"""The steps of a job: paid calls and free local work, and the chain they form."""
