from vqcodec.models.architecture import *  # noqa: F403
