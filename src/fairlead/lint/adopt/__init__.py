"""Other people's configurations become one fairlead.yaml. Pure: documents in, values and a report out."""
