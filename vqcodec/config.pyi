from vqcodec.training.config import *  # noqa: F403
