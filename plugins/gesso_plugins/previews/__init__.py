"""Previews by a linear map from latents to colours."""
