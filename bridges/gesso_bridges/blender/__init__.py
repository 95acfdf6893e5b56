# SPDX-License-Identifier: GPL-3.0-or-later
"""The bridge into Blender, 3.4 and later: panels, operators, materials. It holds no operation; those are the daemon's."""
