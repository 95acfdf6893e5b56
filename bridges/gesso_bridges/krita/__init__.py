"""The bridge into Krita. Nothing is imported here: half of it needs Krita, and the command line the other half."""
