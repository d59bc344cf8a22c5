"""Tests of operators and priors: the laws, their diagnoses, and what they are tried on."""
