"""Who of a gallery is most like each probe."""
