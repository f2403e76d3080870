"""Tests of the tools that judge everything else."""
