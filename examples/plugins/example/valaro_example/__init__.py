"""A sink, a source and a decoder for Valaro."""
