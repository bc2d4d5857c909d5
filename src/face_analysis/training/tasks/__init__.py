"""What is learned: attributes, or who is who, with the losses over classes."""
