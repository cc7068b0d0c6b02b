"""Fairlead: declare an LLM service once; run it, size it, render it, and prove that it holds."""

__version__ = "0.1.0"
