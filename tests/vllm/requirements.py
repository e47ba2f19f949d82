"""What a wheel of vLLM for the CPU requires, as far as it is on PyPI: `requirements.py WHEEL`.

Its torch is one of another index, which PyPI has under the plain version; torchcodec, for video,
has no build that goes with it.
"""

import email
import sys
import zipfile


def main(wheel):
    with zipfile.ZipFile(wheel) as files:
        name = next(one for one in files.namelist() if one.endswith(".dist-info/METADATA"))
        told = email.message_from_bytes(files.read(name))
    for requirement in told.get_all("Requires-Dist"):
        if "extra ==" not in requirement and not requirement.startswith("torchcodec"):
            print(requirement.replace("+cpu", ""))


if __name__ == "__main__":
    main(*sys.argv[1:])
