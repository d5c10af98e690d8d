# SPDX-License-Identifier: Apache-2.0
"""A peer in a process of its own: a line of JSON in, {"module", "function", "arguments"}; a line out, {"answer"} or
{"error"}. What it has prepared it keeps; while another contestant runs it waits for its next line and does nothing."""
import importlib
import json
import os
import sys
import traceback

if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print does not get between the answers
    for line in sys.stdin:
        job = json.loads(line)
        try:
            function = getattr(importlib.import_module(job["module"]), job["function"])
            answer = {"answer": function(*job["arguments"])}
        except Exception as error:  # whatever a peer's library raises: it is named in the table, the others go on
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[-1][:200]}" if str(error).strip() else repr(error)}
        print(json.dumps(answer), file=answers, flush=True)
