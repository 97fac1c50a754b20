"""What containers take: control groups of both versions read (`reading`), and two readings made into figures (`sampler`).

May import `engine.kernel` and below. Knows nothing of containers but the path of a control group.
"""

from engine.stats.reading import Reading, read
from engine.stats.sampler import Figures, Sampler

__all__ = ["Figures", "Reading", "Sampler", "read"]
