"""What a source and a sink of a stream are."""
