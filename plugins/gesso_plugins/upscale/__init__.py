"""The operation `upscale`, and the upscalers that need no model."""
