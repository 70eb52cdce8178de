"""Link to video file: one child process an attempt, a deadline, one retry layer.

Empty: the child imports modules of this package and must load little.
"""
