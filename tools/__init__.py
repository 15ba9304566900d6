"""What makes docs/, the JSON Schemas and the pictures from the code: ``python -m tools``."""
