"""The neutral operation `generate`: text, or text and a picture, to pictures, with any model that has the capability."""
