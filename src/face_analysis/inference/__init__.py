"""Models run over many images."""
