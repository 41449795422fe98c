# SPDX-License-Identifier: Apache-2.0
"""A host with its NPUs: transfers, training steps, generation of text, energy and what lies on chip."""
