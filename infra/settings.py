"""Shows and changes the services' settings: variables of the provision function, one a service.

Lambda replaces all variables at once. So what is there is read first, and written back only if nobody changed the
function meanwhile (its revision id). Needs the AWS CLI.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

LIMIT = 4096  # bytes of all variables together, Lambda's own
OWN = "TAGSHIP_"  # what the names of the stack's own variables begin with, which are no services


def aws(*arguments):
    ran = subprocess.run(["aws", "lambda", *arguments, "--output", "json"], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
    if ran.returncode:
        if "PreconditionFailed" in ran.stderr:
            sys.exit("somebody changed the function meanwhile: nothing was written; run this again")
        raise subprocess.CalledProcessError(ran.returncode, ran.args[:3], ran.stdout, ran.stderr)
    return json.loads(ran.stdout)


def read(function):
    """The function's variables, and the revision that has them."""
    now = aws("get-function-configuration", "--function-name", function)
    return now.get("Environment", {}).get("Variables", {}), now["RevisionId"]


def services(variables):
    return {role: value for role, value in sorted(variables.items()) if not role.startswith(OWN)}


def write(function, variables, revision):
    size = sum(len(name.encode()) + len(value.encode()) for name, value in variables.items())
    if size > LIMIT:
        sys.exit(f"all variables together would have {size} bytes, Lambda takes {LIMIT}: put a service's settings "
                 "into an SSM parameter and write ssm:/its/path here")
    aws("update-function-configuration", "--function-name", function, "--revision-id", revision, "--environment",
        json.dumps({"Variables": variables}))


def carry(function, template):
    """Adds the live function's settings to a packaged template, so that an update of the stack loses none."""
    try:
        live, _ = read(function)
    except subprocess.CalledProcessError as error:
        if "ResourceNotFound" not in error.stderr:
            raise
        live = {}
    body = json.loads(template.read_text())
    properties = body["Resources"]["Provision"]["Properties"]
    own = body["Globals"]["Function"]["Environment"]["Variables"]
    kept = {name: value for name, value in live.items() if name not in own}
    properties["Environment"] = {"Variables": kept}
    template.write_text(json.dumps(body, indent=1))
    print(f"settings carried over: {', '.join(kept) or 'none'}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--function", default="tagship-provision")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("show", help="all services' settings")
    command = commands.add_parser("set", help="a service's settings, from a file, or - for standard input")
    command.add_argument("role")
    command.add_argument("file", type=argparse.FileType())
    commands.add_parser("remove", help="a service").add_argument("role")
    commands.add_parser("carry", help="for make deploy").add_argument("template", type=Path)
    given = parser.parse_args()
    if given.command == "carry":
        return carry(given.function, given.template)
    if getattr(given, "role", "").startswith(OWN):
        sys.exit(f"{given.role} is no service: infra/tagship.yaml says what it is")
    variables, revision = read(given.function)
    before = dict(variables)
    if given.command == "set":
        variables[given.role] = given.file.read().strip()
    elif given.command == "remove" and variables.pop(given.role, None) is None:
        sys.exit(f"{given.role} has no settings; there are {', '.join(services(variables)) or 'none at all'}")
    if variables != before:
        write(given.function, variables, revision)
    for role, value in services(variables).items():
        print(f"{role}={value}")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(error.stderr.strip())
