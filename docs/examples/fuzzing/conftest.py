"""Where Hypothesis keeps its examples: in a Redis that all machines share, or here.

REDIS_URL=redis://host:6379/0 pytest
"""

import os

from hypothesis import settings

if url := os.environ.get("REDIS_URL"):
    from hypothesis.extra.redis import RedisExampleDatabase
    from redis import Redis

    database = RedisExampleDatabase(Redis.from_url(url))
    settings.register_profile("shared", database=database)
    settings.load_profile("shared")
