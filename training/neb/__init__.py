"""Barriers by nudged elastic bands on interatomic potentials, without any training."""
