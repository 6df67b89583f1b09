"""What is served to those who watch a run."""
