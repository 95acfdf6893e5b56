"""A text-conditional VAE-GAN: words into pictures in one forward, trained from renders. It ships no weights."""
