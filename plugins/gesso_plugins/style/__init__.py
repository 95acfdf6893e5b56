"""The operation `style`: the look of one picture on the shapes of another."""
