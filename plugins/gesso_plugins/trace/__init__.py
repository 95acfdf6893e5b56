"""Pictures for ControlNets to read, made of other pictures."""
