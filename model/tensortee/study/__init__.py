# SPDX-License-Identifier: Apache-2.0
"""System studies: confidential training and inference on a CPU and NPUs, modelled from mechanisms."""
