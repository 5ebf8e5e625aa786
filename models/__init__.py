"""Graph code: decoding, augmentation, preprocessing_fn, backbones, training, export."""
