"""An HTTP server over the engine: OpenAI's and Ollama's wire formats, and a web page at `/`."""
