"""Error measures with intervals, and by group."""
