"""The rules, a topic in each module; importing them declares them."""
