"""Features and labels to a model, and a model to scores."""
