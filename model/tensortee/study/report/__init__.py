# SPDX-License-Identifier: Apache-2.0
"""Results of the study with their units, and what shows them: figures and an HTML report."""
