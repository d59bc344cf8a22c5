"""Frozen networks whose layers are operators."""
