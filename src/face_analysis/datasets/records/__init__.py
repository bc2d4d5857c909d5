"""InsightFace's `.rec` files of images."""
