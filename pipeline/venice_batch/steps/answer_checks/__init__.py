"""The checks of an answer: whether what the API sent is a whole picture, and fit to be published.

A check is a flag in `verdict.FLAGS` and a test in `fact_checks` (header alone) or `pixel_checks` (decoded); what a user
can ask of it is a field of `expectations`. Only `pixel_checks` needs Pillow, and is loaded with the first picture.
"""
