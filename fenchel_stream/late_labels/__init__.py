"""Labels that come in a stream of their own, later than their events."""
