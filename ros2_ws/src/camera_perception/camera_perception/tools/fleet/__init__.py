"""The data engine: replay many recordings in parallel, query, compare and mine the results. Needs `[fleet]`."""
