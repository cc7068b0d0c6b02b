"""Texts of every language become documents with positions. Pure: texts in, documents or one problem out."""
