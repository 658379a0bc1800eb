"""`python -m services.cache`: the cache service."""

from services.cache.assemble import assemble
from services.cache.settings import CacheSettings
from services.runtime.start import main

if __name__ == "__main__":
    main("cache", CacheSettings, assemble)
