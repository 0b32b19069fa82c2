"""oneword against the clock, against its peers, and against the floor."""
