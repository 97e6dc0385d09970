"""Where features are read: a module for each kind of source, each giving batches that were never all in memory."""
