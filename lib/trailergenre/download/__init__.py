"""Link to video file: one child process an attempt, a deadline, one retry layer.

Empty on purpose: the child imports modules of this package in every process that is started, and
what stood here would be loaded each time.
"""
