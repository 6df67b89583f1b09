"""Experts that predict beside the network, and their weights."""
