"""The sandbox of child processes: deadline, limits, and death of the whole process group."""
