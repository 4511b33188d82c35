"""All targets by name."""

from . import command_lines, containers, servers, targets

TARGETS = command_lines.TARGETS | targets.TARGETS | containers.TARGETS | servers.TARGETS
