"""Untrained networks that generate pictures, each from one frozen config."""
