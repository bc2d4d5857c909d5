"""Labels, image lists, packed images, and the data sets that training reads."""
