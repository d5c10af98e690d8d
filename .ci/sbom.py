#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a program is linked with, as SPDX 2.3 JSON on stdout: our own files by SHA-256, each shared library, those
that are opened when used too, by the Debian package that brought it (ldd, dpkg).

sbom.py VERSION COMMIT FILE...
"""
import ctypes
import datetime
import hashlib
import json
import os
import re
import subprocess
import sys


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def libraries(path):
    """Real paths of what the loader maps for `path`."""
    found = set()
    for line in run("ldd", path).splitlines():
        match = re.match(r"\s*(?:\S+ => )?(/\S+) \(", line)
        if match:
            found.add(os.path.realpath(match.group(1)))
        elif "not found" in line:
            raise SystemExit(f"{path}: {line.strip()}")
    return found


def opened_by(path):
    """Real paths of the libraries that loaders/opened_when_used.cc opens for `path`, and of what these map."""
    found = set()
    with open(path, "rb") as file:
        names = set(re.findall(rb"\0(lib(?:curl|archive|crypto)\.so\.\d+)\0", file.read()))
    for name in names:
        ctypes.CDLL(name.decode())
        with open("/proc/self/maps", encoding="utf-8") as maps:
            real = next(line.split()[-1] for line in maps if f"/{name.decode()}" in line)
        found |= {os.path.realpath(real)} | libraries(real)
    return found


def package_of(library):
    """(package, version, source) of Debian's, or None where no package brought it."""
    # On a merged /usr dpkg may know the file by its old name.
    for name in (library, library.removeprefix("/usr")):
        owner = subprocess.run(["dpkg-query", "-S", name], capture_output=True, text=True)
        if owner.returncode == 0:
            package = owner.stdout.splitlines()[0].split(": ")[0].split(",")[0]
            return tuple(run("dpkg-query", "-W", "-f", "${Package}\t${Version}\t${source:Package}", package).split("\t"))
    return None


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") \
            else hashlib.sha256(file.read()).hexdigest()


def spdx_id(text):
    return "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", text)


def main():
    if len(sys.argv) < 4:
        raise SystemExit(__doc__)
    version, commit, files = sys.argv[1], sys.argv[2], sys.argv[3:]
    packages, relations = {}, []
    ours = {"SPDXID": "SPDXRef-couplet", "name": "couplet", "versionInfo": f"{version} ({commit})", "licenseDeclared": "Apache-2.0",
            "licenseConcluded": "Apache-2.0", "copyrightText": "NOASSERTION", "downloadLocation": "NOASSERTION", "filesAnalyzed": False}
    relations.append(("SPDXRef-DOCUMENT", "DESCRIBES", ours["SPDXID"]))
    contents = []
    for path in files:
        file_id = spdx_id("file-" + os.path.basename(path))
        contents.append({"SPDXID": file_id, "fileName": "./" + os.path.basename(path), "copyrightText": "NOASSERTION",
                         "licenseConcluded": "Apache-2.0", "checksums": [{"algorithm": "SHA256", "checksumValue": sha256(path)}]})
        relations.append((ours["SPDXID"], "CONTAINS", file_id))
        for library in sorted((libraries(path) | opened_by(path)) - {os.path.realpath(p) for p in files}):
            found = package_of(library)
            name, number, source = found or (os.path.basename(library), sha256(library), None)
            package = {"SPDXID": spdx_id("package-" + name), "name": name, "versionInfo": number, "supplier": "NOASSERTION",
                       "copyrightText": "NOASSERTION", "licenseDeclared": "NOASSERTION", "licenseConcluded": "NOASSERTION",
                       "downloadLocation": "NOASSERTION", "filesAnalyzed": False}
            if source:
                package["supplier"] = "Organization: Debian"
                package["externalRefs"] = [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                                            "referenceLocator": f"pkg:deb/debian/{name}@{number.replace('+', '%2B').replace(':', '%3A')}"}]
                package["sourceInfo"] = f"source package {source}"
            packages[package["SPDXID"]] = package
            relation = (file_id, "DYNAMIC_LINK", package["SPDXID"])
            if relation not in relations:
                relations.append(relation)
    now = int(os.environ.get("SOURCE_DATE_EPOCH", datetime.datetime.now().timestamp()))
    made = datetime.datetime.fromtimestamp(now, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    json.dump({"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"couplet-{version}",
               "documentNamespace": f"https://spdx.org/spdxdocs/couplet-{version}-{commit}-{sha256(files[0])[:16]}",
               "creationInfo": {"created": made, "creators": ["Tool: couplet .ci/sbom.py"]},
               "packages": [ours] + [packages[key] for key in sorted(packages)], "files": contents,
               "relationships": [{"spdxElementId": a, "relationshipType": kind, "relatedSpdxElement": b} for a, kind, b in relations]},
              sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
