"""All hostile programs. None may end in ``infra_error`` or ``worker_killed``."""

from __future__ import annotations

from tests.adversarial import endings, files, forgeries, kernel, processes, resources, shapes, whole
from tests.adversarial.case import Case

CASES: list[Case] = [
    *resources.TIME,
    *resources.SPACE,
    *processes.MAKING,
    *processes.LEAVING,
    *processes.SIGNALS,
    *files.WRITING,
    *files.DESCRIPTORS,
    *files.READING,
    *files.POISON,
    *kernel.NETWORK,
    *kernel.SYSTEM_CALLS,
    *kernel.ALLOWED,
    *endings.EXITS,
    *endings.EXCEPTIONS,
    *forgeries.OBJECTS,
    *forgeries.REPORTS,
    *forgeries.HUNTERS,
    *shapes.VALUES,
    *shapes.SOURCES,
    *whole.READING,
    *whole.PRINTING,
    *whole.ENDING,
]
