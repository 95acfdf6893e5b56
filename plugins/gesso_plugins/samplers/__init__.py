"""The samplers and schedules of the field, one algorithm a file. Only plugin.py knows that they are plugins."""
