from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.cli.conftest import Run


def test_ctrl_c_to_the_whole_process_group_leaves_a_checkpoint_that_resume_takes_up(
    run: Run, patterns: Path, tmp_path: Path
) -> None:
    words = (
        f"train -a gender -t {patterns} -ts {patterns.parent} -v {patterns} -vs {patterns.parent} --depth 18 "
        f"--width 0.125 -b 12 -w 2 --validations 1 -o {tmp_path}/run"
    )
    code = "import sys; from face_analysis.cli.main import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words.split(), "-e", "500"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    last, deadline = tmp_path / "run" / "checkpoints" / "last.ckpt", time.monotonic() + 120
    while not last.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT, err
    assert err.count("stopping after this step") == 1
    assert f"--resume {tmp_path}/run" in err
    with (tmp_path / "run" / "metrics.csv").open() as file:
        epochs = int(file.readlines()[-1].split(",")[0]) + 2
    assert run(f"{words} -e {epochs} -r {tmp_path}/run")[0] == 0
