"""Oracles and laws for explanations, public: what a map must satisfy, as functions for property-based tests."""
