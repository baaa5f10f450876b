"""Mutation testing of the rooms that decide: what survives shows a test that is missing."""
