"""Has services' settings survive an update of the stack. What an interrupted one left to put back: keeper.py FUNCTION

Settings are variables of the provision function, one a service; people change them with `tagship settings`. Lambda
replaces all variables at once. So what is there is read first, and written back only if nobody changed the function
meanwhile (its revision id). Needs the AWS CLI.
"""

import json
import os
import sys
from pathlib import Path

from cli import Refused, aws

OWN = "TAGSHIP_"  # what the names of the stack's own variables begin with, which are no services
KEPT = Path(__file__).parent.parent / "target" / "infra"


def read(function):
    """The function's variables, and the revision that has them."""
    now = aws("lambda", "get-function-configuration", "--function-name", function)
    return now.get("Environment", {}).get("Variables", {}), now["RevisionId"]


def write(function, variables, revision):
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
    """Keeps the settings of one function, however the update ends.

    They are in no template: CloudFormation, when it updates the function's configuration or takes that back, may leave the
    variables of the template alone. Until the update has ended they are in a file too, which only its owner can read, in
    case this process ends first.
    """

    def __init__(self, function):
        self.function = function
        self.file = KEPT / f"{function}.settings.json"
        try:
            now, _ = read(function)
        except Refused as refused:
            if refused.code != "ResourceNotFoundException":
                raise
            now = {}
        now = {role: value for role, value in now.items() if not role.startswith(OWN)}
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
                print(f"settings put back: {', '.join(sorted(lost))}")
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
    [function] = sys.argv[1:] or sys.exit(__doc__)
    keeper = Keeper(function)
    if not keeper.put_back():
        sys.exit("the function is being updated or was changed meanwhile: run this again")
    keeper.done()


if __name__ == "__main__":
    try:
        main()
    except Refused as refused:
        sys.exit(str(refused))
