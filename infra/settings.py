"""Shows and changes the services' settings: variables of the provision function, one a service.

Lambda replaces all variables at once. So what is there is read first, and written back only if nobody changed the
function meanwhile (its revision id). Needs the AWS CLI.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from cli import Refused, aws

LIMIT = 4096  # bytes of all variables together as JSON, Lambda's own
OWN = "TAGSHIP_"  # what the names of the stack's own variables begin with, which are no services
KEPT = Path(__file__).parent.parent / "target" / "infra"


def read(function):
    """The function's variables, and the revision that has them."""
    now = aws("lambda", "get-function-configuration", "--function-name", function)
    return now.get("Environment", {}).get("Variables", {}), now["RevisionId"]


def services(variables):
    return {role: value for role, value in sorted(variables.items()) if not role.startswith(OWN)}


def write(function, variables, revision):
    size = len(json.dumps(variables, separators=(",", ":")).encode())
    if size > LIMIT:
        raise Refused(
            f"all variables together would have {size} bytes, Lambda takes {LIMIT}: put a service's settings into "
            "the SSM parameter /tagship/<service role>, and remove its variable here"
        )
    # By standard input: what stands on a command line, every user of the machine can see.
    aws(
        "lambda",
        "update-function-configuration",
        "--function-name",
        function,
        "--revision-id",
        revision,
        "--environment",
        "file:///dev/stdin",
        given=json.dumps({"Variables": variables}),
    )


class Keeper:
    """Has a service's settings survive an update of the stack, however that ends.

    They are in no template: CloudFormation, when it updates the function's configuration or takes that back, may leave the
    variables of the template alone. Until the update has ended they are in a file too, which only its owner can read, in
    case this process ends first.
    """

    def __init__(self, function):
        self.function = function
        self.file = KEPT / f"{function}.settings.json"
        try:
            now = services(read(function)[0])
        except Refused as refused:
            if refused.code != "ResourceNotFoundException":
                raise
            now = {}
        left = json.loads(self.file.read_text()) if self.file.exists() else {}
        self.kept = {**left, **now}
        if self.kept:
            KEPT.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump(self.kept, file)

    def put_back(self):
        """Writes what is missing, and leaves alone what somebody changed; answers whether nothing is missing any more."""
        if not self.kept:
            return True
        try:
            now, revision = read(self.function)
            lost = {role: value for role, value in self.kept.items() if role not in now}
            if lost:
                write(self.function, {**now, **lost}, revision)
                print(f"settings put back: {', '.join(lost)}")
        except Refused as refused:
            # Somebody wrote in between, or the function is still being updated: look again.
            if refused.code not in ("PreconditionFailedException", "ResourceConflictException"):
                raise
            return False
        return True

    def done(self):
        """All of them are there: the file isn't needed any more."""
        self.file.unlink(missing_ok=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--function", default="tagship-provision")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("show", help="all services' settings")
    command = commands.add_parser("set", help="a service's settings, from a file, or - for standard input")
    command.add_argument("role")
    command.add_argument("file", type=argparse.FileType())
    commands.add_parser("remove", help="a service").add_argument("role")
    commands.add_parser("restore", help="what an interrupted make deploy left to put back")
    given = parser.parse_args()
    if given.command == "restore":
        keeper = Keeper(given.function)
        if not keeper.put_back():
            sys.exit("the function is being updated or was changed meanwhile: run this again")
        keeper.done()
        return
    if getattr(given, "role", "").startswith(OWN):
        sys.exit(f"{given.role} is no service: infra/tagship.yaml says what it is")
    variables, revision = read(given.function)
    before = dict(variables)
    if given.command == "set":
        variables[given.role] = given.file.read().strip()
    elif given.command == "remove" and variables.pop(given.role, None) is None:
        sys.exit(f"{given.role} has no variable; there are {', '.join(services(variables)) or 'none at all'}")
    if variables != before:
        write(given.function, variables, revision)
    for role, value in services(variables).items():
        print(f"{role}={value}")


if __name__ == "__main__":
    try:
        main()
    except Refused as refused:
        if refused.code == "PreconditionFailedException":
            sys.exit("somebody changed the function meanwhile: nothing was written; run this again")
        sys.exit(str(refused))
