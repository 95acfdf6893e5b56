"""The private link between the front and its workers: typed messages over one ZeroMQ connection that the worker dials."""
