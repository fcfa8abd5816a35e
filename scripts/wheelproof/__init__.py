"""Proof on real wheels: releases of TensorFlow installed from their profiles, their models and CUDA libraries tried."""
