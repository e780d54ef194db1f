"""The product's settings, with the channel layer that Channels' tutorial names."""

from config.settings import *  # noqa: F403

CHANNEL_LAYERS = {
    "default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [REDIS_URL]}}  # noqa: F405
}
