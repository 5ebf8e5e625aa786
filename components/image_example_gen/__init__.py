"""Images and labels into checked, measured and split tf.Examples."""
