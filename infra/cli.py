"""Calls of the AWS CLI: what ops have in any case, with whatever way they sign in."""

import json
import re
import subprocess


class Refused(Exception):
    """AWS's refusal, or the CLI's own."""

    def __init__(self, said):
        super().__init__(said.strip())
        found = re.search(r"An error occurred \((\w+)\)", said)
        self.code = found[1] if found else ""


def text(*arguments, given=None):
    """What `aws …` prints; `given` is its standard input, which a parameter reads as file:///dev/stdin."""
    ran = subprocess.run(["aws", *arguments], input=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if ran.returncode:
        raise Refused(ran.stderr or ran.stdout)
    return ran.stdout


def aws(*arguments, given=None):
    """What `aws …` answers, all pages of it."""
    said = text(*arguments, "--output", "json", given=given)
    return json.loads(said) if said.strip() else {}


def ask(question):
    """Whether somebody says yes; None, if there is nobody to ask."""
    try:
        return input(f"{question} [y/N] ").strip() in ("y", "Y", "yes")
    except EOFError:
        print()
        return None
