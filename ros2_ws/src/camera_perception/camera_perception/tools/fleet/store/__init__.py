"""The store of a run: storage, tables, queries."""
