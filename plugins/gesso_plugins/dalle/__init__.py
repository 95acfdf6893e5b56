"""DALL-E's first road: a picture as a sequence of tokens, drawn one after the other after those of its words. It ships no weights."""
