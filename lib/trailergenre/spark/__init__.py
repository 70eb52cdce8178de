"""Adapters: how each stage is spread over a Spark cluster. Nothing else imports pyspark."""
