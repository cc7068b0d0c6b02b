"""Facts: accelerators, instances with prices, model shapes, quantisations. Data files with a dated source a row."""
