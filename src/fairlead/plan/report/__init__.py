"""A plan as one page of HTML that stands alone: values in, text out; nothing is read from or written to a disk."""
