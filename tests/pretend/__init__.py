"""A pretend GPU: CUDA tensors whose numbers live on the CPU, for tests on machines without CUDA.

It refuses what a GPU refuses, tensors and generators of two devices in one operation, and counts what makes the host wait for
the device. It has no clock and no memory of its own, and its kernels are the CPU's: their bits, their order and their layouts.
"""
