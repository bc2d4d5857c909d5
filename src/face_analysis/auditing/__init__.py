"""What is wrong in labelled face data: copies, contradicting labels, leaks between lists."""
