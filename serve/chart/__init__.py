"""What the Helm chart takes from these packages: its values and their schema, and facts that its templates need."""
