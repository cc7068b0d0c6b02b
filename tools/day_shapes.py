"""Write the simulator's days and lengths from the published traces: `python tools/day_shapes.py FOLDER`.

FOLDER holds servegen_rate_10min.csv.gz (ServeGen's request rates in windows of ten minutes), azure2023_conv.csv.gz and
azure2023_code.csv.gz (the Azure LLM inference traces of 2023). Of ServeGen the first day of each category is taken, as
a shape: rates over their mean. Of Azure every k-th request in order of prompt length: 1,200 pairs keep both
distributions.
"""

from __future__ import annotations

import csv
import gzip
import json
import sys
from pathlib import Path

TARGET = Path(__file__).parent.parent / "src" / "fairlead" / "plan" / "autoscale" / "data"
WINDOWS = 144
PAIRS = 1200
SERVEGEN = {
    "servegen-reasoning": "reason/deepseek-r1",
    "servegen-large": "language/m-large",
    "servegen-mid": "language/m-mid",
    "servegen-small": "language/m-small",
    "servegen-image": "multimodal/mm-image",
}
AZURE = {"azure-chat": "conv", "azure-code": "code"}


def rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def days(folder: Path) -> dict[str, object]:
    shapes = {}
    table = rows(folder / "servegen_rate_10min.csv.gz")
    for name, category in SERVEGEN.items():
        rates = [float(row["rate_rps"]) for row in table if row["category"] == category][:WINDOWS]
        mean = sum(rates) / len(rates)
        shapes[name] = [round(rate / mean, 3) for rate in rates]
    return {
        "source": "ServeGen (arXiv:2505.09999, github.com/alibaba/ServeGen), request rates of each first day",
        "licence": "Apache-2.0",
        "date": "2025-05",
        "window_s": 600,
        "days": shapes,
    }


def lengths(folder: Path) -> dict[str, object]:
    pairs = {}
    for name, part in AZURE.items():
        found = [
            (int(r["ContextTokens"]), int(r["GeneratedTokens"])) for r in rows(folder / f"azure2023_{part}.csv.gz")
        ]
        found.sort()
        step = len(found) / PAIRS
        pairs[name] = [found[int((index + 0.5) * step)] for index in range(PAIRS)]
    return {
        "source": "AzureLLMInferenceTrace 2023 (Splitwise, ISCA 2024, github.com/Azure/AzurePublicDataset)",
        "licence": "CC-BY-4.0",
        "date": "2023-11-16",
        "pairs": pairs,
    }


def main() -> None:
    folder = Path(sys.argv[1])
    for name, content in (("days.json", days(folder)), ("lengths.json", lengths(folder))):
        (TARGET / name).write_text(json.dumps(content, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
