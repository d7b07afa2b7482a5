from vqcodec.models.adapters import *  # noqa: F403
