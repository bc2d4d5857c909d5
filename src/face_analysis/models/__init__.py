"""Backbones, heads, and their files."""
