"""The dashboard: what people look at and act through; it decides nothing."""
