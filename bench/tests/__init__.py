"""Tests of the harness: npm run bench:test."""
