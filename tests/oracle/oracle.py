# SPDX-License-Identifier: Apache-2.0
"""Runs the same graphs and photos through TensorFlow and through us and prints how far apart they are.

    make oracle                          everything
    make oracle ORACLE="layers events"   some parts

Ends with "N held, N failed"; exit 1 when one failed.
"""
import os
import subprocess
import sys

import tf_reference as ref


class Report:
    def __init__(self):
        self.held = self.failed = 0

    def detail(self, text):
        print(text)

    def note(self, text):
        print(f"  {text}", flush=True)

    def check(self, what, distance, bound):
        # A NaN must fail.
        if distance <= bound:
            self.held += 1
            print(f"  held    {what}: {distance:.3g} (at most {bound:g})", flush=True)
        else:
            self.fail(f"{what}: {distance:.3g}, more than {bound:g}")

    def expect(self, what, condition):
        if condition:
            self.held += 1
            print(f"  held    {what}", flush=True)
        else:
            self.fail(what)

    def count(self, topic, required, done, findings, part, notes):
        """For docs/reliability.md; a count that is too low is a failure."""
        command = [sys.executable, "tests/reliability/reliability.py", "count", topic, f"--required={required}", f"--done={done}",
                   f"--open={findings}", f"--command=make oracle {part}", f"--notes={notes}"]
        self.expect(f"{topic}: {done} of {required}", subprocess.run(command, check=False).returncode == 0)

    def fail(self, what):
        self.failed += 1
        print(f"  FAILED  {what}", flush=True)


def main():
    import check_decode
    import check_differential
    import check_layers
    import check_programs
    import check_tools

    parts = {
        "decode": check_decode.check,
        "differential": check_differential.check,
        "bottlenecks": check_layers.check_bottlenecks,
        "layers": check_layers.check_graphs,
        "default": check_layers.check_default,
        "logits": check_layers.check_logits,
        "label_image": check_programs.check_label_image,
        "retrain": check_programs.check_retrain,
        "tools": check_tools.check,
    }
    wanted = sys.argv[1:] or list(parts)
    unknown = [part for part in wanted if part not in parts]
    if unknown:
        raise SystemExit(f"no such part: {' '.join(unknown)}; there are: {' '.join(parts)}")
    shared = os.path.abspath(ref.shared_dir())
    report = Report()
    for part in wanted:
        print(f"{part}: {parts[part].__doc__.splitlines()[0]}", flush=True)
        parts[part](report, shared)
    print(f"{report.held} held, {report.failed} failed")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
