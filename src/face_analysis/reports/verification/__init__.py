"""Verification and identification: tables and curves."""
