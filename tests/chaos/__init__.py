"""What is done to a run on purpose, at length, and that it stands: ``make chaos``.

Each module here has parts, small enough to be done in one go, that return figures or fail. A run is
resumable by part; its results are the report in ``REPORT.md``.
"""
