"""One run, as a configuration describes it."""
