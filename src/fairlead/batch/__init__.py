"""Offline work: many rows, answered by an engine or the gateway, each exactly once in the output."""
