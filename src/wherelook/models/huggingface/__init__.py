"""Models of Transformers: loading, the prompt, the score function and what can be read inside."""
