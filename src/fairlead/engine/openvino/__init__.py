"""The embedded engine: one OpenVINO GenAI model in a process of its own behind an OpenAI-compatible server.

`python -m fairlead.engine.openvino --model FOLDER_OR_GGUF --served-model-name NAME --port PORT ...`

A request's life: `wire` checks it, `tokenizer` turns it into ids, `scheduler` admits it (or answers 429), one thread in
`stepper` generates, `choice` turns ids back into text and finds stop strings, `bodies` says it in OpenAI's words.
"""
