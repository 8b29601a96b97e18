"""What the package managers of nodes are asked and told."""
