"""Analysis: what a trained model is sensitive to, where it is wrong and where it looks."""
