"""The functions that Python programs call; `import face_analysis` gives all of them."""
