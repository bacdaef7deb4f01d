"""Calibrate a table of detector counts: energy = (counts - pedestal) * gain.

The input is a CSV file with a header and a column `counts`; every other column is kept. The output directory gets
`calibrated.csv`, the table with a column `energy` more, and `summary.json`. Rows are handled one at a time, so
that memory does not grow with the file.
"""

import csv
import json
import math
from pathlib import Path


def main(event):
    """Calibrate event["read"]["local"] with event["params"]; the answer is the summary."""
    params = event["params"]
    pedestal, gain = float(params["pedestal"]), float(params["gain"])
    counts, output = Path(event["read"]["local"]), Path(event["write"]["local"])
    with (
        counts.open(newline="", encoding="utf-8") as source,
        (output / "calibrated.csv").open("w", newline="", encoding="utf-8") as target,
    ):
        energies = calibrate(source, target, pedestal, gain)
    summary = {"run": event["subject"].split("/")[-2], "pedestal": pedestal, "gain": gain, **energies}
    (output / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return summary


def calibrate(source, target, pedestal, gain):
    """Write the calibrated table; returns how many rows there were, and their mean, least and largest energy."""
    table = csv.DictReader(source)
    columns = table.fieldnames or []
    if "counts" not in columns:
        raise ValueError(f"there is no column 'counts', only: {', '.join(columns) or 'nothing'}")
    writer = csv.DictWriter(target, [*columns, "energy"], extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    rows, total, least, largest = 0, 0.0, math.inf, -math.inf
    for row in table:
        try:
            energy = (float(row["counts"]) - pedestal) * gain
        except (TypeError, ValueError):
            raise ValueError(f"line {table.line_num}: {row['counts']!r} is no number of counts") from None
        writer.writerow({**row, "energy": f"{energy:.6g}"})
        rows, total = rows + 1, total + energy
        least, largest = min(least, energy), max(largest, energy)
    if not rows:
        return {"rows": 0, "mean": None, "min": None, "max": None}
    return {"rows": rows, "mean": total / rows, "min": least, "max": largest}
