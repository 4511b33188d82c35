"""Where a running session is put together, and what keeps it running."""
