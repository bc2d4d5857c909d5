"""Race, gender and age: tables, figures, and what calibration did."""
