"""Figures and tables from evaluation results."""
