"""Models trained on a cluster; `trainer` chooses among them."""
