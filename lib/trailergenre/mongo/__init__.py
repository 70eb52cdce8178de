"""The features of a run as documents in MongoDB: a copy to query. The run's tables are the truth.

Publishing again replaces documents and never adds any: each `_id` is made of the run's own ids.
"""
