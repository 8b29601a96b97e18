"""What is looked at before a model is loaded, and what is measured to be sure."""
