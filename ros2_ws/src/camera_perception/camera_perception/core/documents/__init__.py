"""Documents from outside: read with limits, validated by a schema, and refused with one sentence."""
