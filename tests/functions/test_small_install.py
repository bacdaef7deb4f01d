"""A scientist's laptop has only `pip install faasctl`: no HTCondor, no Kafka, no server."""

import subprocess
import sys

from faasctl.commands.fn import VERBS

PLATFORM = ("confluent_kafka", "htcondor2", "httptools", "kafka", "starlette", "trustme", "uvicorn", "uvloop")


def test_every_verb_of_fn_loads_without_the_platform_packages() -> None:
    # given
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({PLATFORM!r}))\n"
        "from faasctl.main import main\n"
        "from faasctl.commands.fn import VERBS\n"
        "for verb in VERBS:\n"
        "    try: main(['fn', verb, '--help'])\n"
        "    except SystemExit as end: assert not end.code, verb\n"
        "import faasctl.functions.door\n"
    )

    # when
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    # then: and each help has examples
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Example") == len(VERBS)
