# SPDX-License-Identifier: Apache-2.0
"""Whom we are timed beside, and how each is asked: a worker process a peer, or a program from start to exit."""
import json
import os
import subprocess
import sys
import time

from material import TEMP

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = {"original": "TensorFlow, the original's way", "keras": "Keras, tf.data", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}


class PeerFailed(Exception):
    """Why a peer has no figure in a row; the row goes on without it."""


class Workers:
    """A process a peer, started when first asked, so that no peer's threads or memory are another's."""

    def __init__(self):
        self.processes = {}

    def ask(self, peer, module, function, *arguments):
        if peer not in self.processes:
            with open(f"{TEMP}/{peer}.log", "w", encoding="utf-8") as log:
                self.processes[peer] = subprocess.Popen([sys.executable, os.path.join(HERE, "worker.py")], text=True,
                                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        process = self.processes[peer]
        try:
            print(json.dumps({"module": module, "function": function, "arguments": arguments}), file=process.stdin, flush=True)
            answer = process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            del self.processes[peer]
            raise PeerFailed(f"ended with code {process.wait()}; {TEMP}/{peer}.log has its last words")
        answer = json.loads(answer)
        if "error" in answer:
            raise PeerFailed(answer["error"])
        return answer["answer"]

    def close(self):
        for process in self.processes.values():
            process.stdin.close()
            process.wait()
        self.processes = {}


def run(command, stdout=subprocess.DEVNULL):
    """(seconds from the start of a process to its exit, what it wrote if that is to be piped)"""
    start = time.perf_counter()
    done = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["said nothing"]
        raise PeerFailed(f"{os.path.basename(command[0])} ended with code {done.returncode}: {said[-1][:200]}")
    return seconds, done.stdout


def run_seconds(command):
    return run(command)[0]
