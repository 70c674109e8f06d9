"""Holds infra/*.yaml against CloudFormation (cfn-lint), SAM, AWS's own word on IAM actions, a policy scanner, and what a
first deployment would find (checks.py), after it has made sure that those last find the faults that they are there for.

With `--roles` it also tells what each role may do, and what binds it. That the functions' roles grant what is needed and
nothing else, tests show by the calls that are made (tests/src/privileges.rs).
"""

import json
import os
import subprocess
import sys
import unittest
from pathlib import Path

import boto3
import checks
from policy_sentry.shared.iam_data import get_service_prefix_data
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

HERE = Path(__file__).parent
TEMPLATES = [HERE / f"{name}.yaml" for name in ("tagship", "pipeline", "service")]
EXPANDED = HERE.parent / "target" / "infra"
CHANGES = {"Write", "Tagging", "Permissions management"}
# Condition keys that AWS has for every action, and so lists for none.
GLOBAL = {"aws:ResourceAccount"}

# Changing actions that AWS lets nothing bind: why they are granted all the same.
UNBOUND = {
    "codedeploy:StopDeployment": "knows no resource; tagship stops only the deployment that it finds in its own group",
    "codepipeline:PutJobFailureResult": "knows no resource; a job's id is known to the function that it invoked",
    "codepipeline:PutJobSuccessResult": "knows no resource; a job's id is known to the function that it invoked",
}


def expand(architecture):
    """The template as CloudFormation makes it, with the archives where `aws cloudformation package` would put them."""
    template = yaml_parse((HERE / "tagship.yaml").read_text())
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://archives/" + Path(resource["Properties"]["CodeUri"]).parent.name
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name="eu-west-1"))
    expanded = translator.translate(template, {"Architecture": architecture})
    translator.metrics.publish()  # nowhere; else it complains
    return expanded


def known_keys(service, action):
    """The condition keys that AWS has for an action; of a resource type for which it lists none there, those of the type."""
    privilege = service["privileges"][action]
    keys = set()
    for name, each in privilege["resource_types"].items():
        keys |= set(each["condition_keys"] or (name and service["resources"][name]["condition_keys"]) or [])
    if privilege["access_level"] == "Tagging":
        keys |= {"aws:RequestTag", "aws:TagKeys"}
    return {key.split("/")[0] for key in keys} | GLOBAL


def problems_of(action, statement):
    """What is wrong with granting `action` so; AWS would tell by denying it, or by not binding it at all."""
    prefix, name = action.split(":")
    service = get_service_prefix_data(prefix)
    if not service or name not in service["privileges"]:
        return [f"{action}: AWS has no such action"]
    keys = {key for test in statement.get("Condition", {}).values() for key in test}
    known = known_keys(service, name)
    problems = [f"{action}: AWS has no condition {key} on it" for key in keys if key.split("/")[0] not in known]
    changes = service["privileges"][name]["access_level"] in CHANGES
    if changes and statement["Resource"] == "*" and not keys and action not in UNBOUND:
        problems.append(f"{action}: bound by neither condition nor ARN")
    return problems


def words(value):
    """A statement's resources or condition, for people."""
    match value:
        case str():
            return value.removeprefix("arn:${AWS::Partition}:").replace("${AWS::Region}:${AWS::AccountId}:", "")
        case list():
            return ", ".join(words(each) for each in value)
        case {"Ref": name} | {"Fn::Sub": name}:
            return words(name)
        case {"Fn::GetAtt": path}:
            return ".".join(path)
        case dict():
            return "; ".join(f"{key} {words(each)}" for key, each in value.items())


def role_problems(template):
    """What is wrong with the roles' statements; tells them all if asked to."""
    for role, actions, statement in checks.statements(template):
        bound = " | ".join(words(statement[key]) for key in ("Resource", "Condition") if key in statement)
        for action in actions:
            yield from (f"{role}: {problem}" for problem in problems_of(action, statement))
            if "--roles" in sys.argv:
                print(f"{role:14} {action:42} {UNBOUND.get(action, bound)}")


def tool(name, *arguments):
    """Runs what is installed beside this Python."""
    command = [Path(sys.executable).parent / name, *arguments]
    # checkov forks for files as few as these, and waits for ever if a fork of it is killed (no memory left).
    environment = {**os.environ, "CHECKOV_PARALLELIZATION_TYPE": "none"}
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def lint_problems(files):
    ran = tool("cfn-lint", "--", *files)
    return [ran.stdout + ran.stderr] if ran.returncode else []


def scan_problems(files):
    """checkov's findings. Its exit code is 0 for a file that it couldn't read: so its report is read instead."""
    ran = tool("checkov", "--config-file", HERE / "checkov.yaml", "--output", "json", "--file", *files)
    report = json.loads(ran.stdout)
    if "results" not in report:
        return [f"checkov has looked at nothing: {report}"]
    results = report["results"]
    unread = report["summary"]["parsing_errors"]
    problems = [f"checkov could not read {unread} of the templates"] if unread else []
    for found in results["failed_checks"]:
        place = f"{found['file_path']}:{found['file_line_range'][0]}"
        problems.append(f"{place}: {found['check_id']} {found['resource']}: {found['check_name']}")
    print(f"checkov: {report['summary']['passed']} checks passed, {report['summary']['skipped']} suppressed in place")
    return problems


def main():
    tests = unittest.defaultTestLoader.discover(HERE, "test_*.py")
    if not unittest.TextTestRunner(verbosity=0).run(tests).wasSuccessful():
        return 1
    EXPANDED.mkdir(parents=True, exist_ok=True)
    files = list(TEMPLATES)
    for architecture in ("arm64", "x86_64"):
        template = expand(architecture)
        files.append(EXPANDED / f"tagship-{architecture}.json")
        files[-1].write_text(json.dumps(template, indent=1))
    others = {name: yaml_parse((HERE / f"{name}.yaml").read_text()) for name in ("pipeline", "service")}
    problems = [
        f"{name}.yaml: {each}" for name, it in {"tagship": template, **others}.items() for each in checks.problems(it)
    ]
    problems += [problem for it in (template, *others.values()) for problem in role_problems(it)]
    problems += [*lint_problems(files), *scan_problems(files)]
    print("\n".join(problems) or "infra: no findings")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
