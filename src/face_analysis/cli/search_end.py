"""How `search` ends: what it found, in words and in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from face_analysis.evaluation.identification import Outcomes, identification_report
from face_analysis.json_files import write_json
from face_analysis.matching.search.sides import SearchSides
from face_analysis.reports.identification import (
    identification_tables,
    write_identification,
)


def finish(folder: Path, sides: SearchSides, outcomes: Outcomes, about: dict[str, Any]) -> None:
    """Print the measures, and write them with `search.json`, which is `about` and what was measured."""
    threshold, faiss = about["threshold"], about["faiss"]
    print(f"{len(sides.comparison.probes)} probes, {len(sides.comparison.gallery)} rows of the gallery")
    if not about["exact"]:
        print(
            f"not exact: {faiss['looked_into']} of {faiss['lists']} lists are looked into; of the exact "
            f"candidates of {about['recall_probes']} probes {100 * about['recall']:.2f} % are found"
        )
    if threshold is not None:
        about["probes_accepted"] = int((outcomes.top_score >= threshold).sum())
        print(f"{about['probes_accepted']} probes have a candidate of at least {threshold:.4f}")
    report = None
    if not sides.unknown:
        report = identification_report(outcomes, about["top"], () if threshold is None else (threshold,))
        about["identification"] = report.to_dict()
        print(identification_tables(report))
    write_identification(report, folder)
    write_json(folder / "search.json", about)
