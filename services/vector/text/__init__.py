"""What a text is made of: sentences, blocks, passages, words, scripts. Knows of no store and no model."""
