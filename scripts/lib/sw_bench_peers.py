# SPDX-License-Identifier: BSD-3-Clause
"""Placeholder until the next commit."""
def peers(args): return {}
