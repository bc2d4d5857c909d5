"""`feature_match.py` of the original system: every score of lists of `.npy` features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

from face_analysis.cli.parser import parse
from face_analysis.files import FailureLog, write_text
from face_analysis.options import Opt, Range, to_yaml
from face_analysis.outputs import Overwrite, claim_file


@dataclass(frozen=True)
class FeatureMatchOptions:
    """The options of the original command."""

    probe: Annotated[Path, Opt("list of .npy files")]
    output: Annotated[Path, Opt("folder for the scores")]
    dataset: Annotated[str, Opt("CHIYA, CHIYA_VAL, PUBLIC_IVS, or another name")]
    group: Annotated[str, Opt("what the names of the files begin with")]
    gallery: Annotated[Path | None, Opt("list to compare with (default: the probes, each pair once)")] = None
    memory: Annotated[float, Opt("GB for blocks of scores"), Range(over=0)] = 1
    overwrite: Overwrite = False


def main(arguments: Sequence[str]) -> int:
    """Exit status 0, or 1 when files of the lists could not be used; the files written go to stdout."""
    options = parse("feature_match", FeatureMatchOptions, arguments)
    from tqdm import tqdm

    from face_analysis.matching.comparison import compare
    from face_analysis.matching.features.original import gather_features
    from face_analysis.matching.labels import ORIGINAL_RULES
    from face_analysis.matching.score_files import write_scores

    rule = options.dataset.upper()
    start = options.output / options.group
    read = (options.probe, options.gallery)
    with claim_file(Path(f"{start}_authentic.npy"), read, overwrite=options.overwrite):
        write_text(options.output / f"{options.group}_config.yaml", to_yaml(options))
        failures = FailureLog(options.output / f"{options.group}_errors.csv")
        with TemporaryDirectory(prefix=".features-", dir=options.output) as folder:
            probes = gather_features(options.probe, Path(folder, "probes"), failures)
            listed = options.gallery
            gallery = None if listed is None else gather_features(listed, Path(folder, "gallery"), failures)
            subject = rule if rule in ORIGINAL_RULES else "original"
            comparison = compare(probes, gallery, subject=subject, original=True)
            with tqdm(total=comparison.pairs, unit=" pairs", unit_scale=True, desc="scores") as bar:
                write_scores(comparison, "npy", start, options.memory * 1e9, bar.update)
    print(options.output)
    return failures.report()
