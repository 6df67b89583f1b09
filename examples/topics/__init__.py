"""Flights on one topic, their labels on another, as they depart and arrive: ``make demo-kafka``."""
