# SPDX-License-Identifier: Apache-2.0
"""Unit benches of the cryptographic blocks."""
