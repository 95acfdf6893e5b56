"""The schedules of the field: functions from a model's trained noise levels and a number of steps to steps + 1 levels ending in 0."""
