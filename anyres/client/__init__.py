"""Questions to a model elsewhere, through the chat API that OpenAI began and most servers speak."""

from anyres.client.endpoint import Endpoint, endpoint_from
from anyres.client.media import MediaRules
from anyres.client.remote import RemoteChatModel

__all__ = ["Endpoint", "MediaRules", "RemoteChatModel", "endpoint_from"]
