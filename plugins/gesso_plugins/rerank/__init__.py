"""The operation `rerank`."""
