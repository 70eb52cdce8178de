"""The models of one row: random forests and logistic regressions."""
