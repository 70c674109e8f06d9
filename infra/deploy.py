"""Deploys a template as a stack: shows where and each change first, and asks. STACK TEMPLATE [FILE.json] [KEY=VALUE…]

A file has parameters as `tagship onboard` writes them: {"Parameters": {"KEY": "VALUE", …}}. What comes later counts.

CODE_BUCKET takes the template's archives; FUNCTION is the function whose variables, beyond those of the template, must
survive the update. Needs the AWS CLI and nothing else.
"""

import json
import os
import re
import sys
import time
from pathlib import Path

import weights
from cli import Refused, ask, aws, text
from keeper import Keeper

PACKAGED = Path(__file__).parent.parent / "target" / "infra" / "packaged.json"
RULES = 300  # EventBridge's rules a bus, unless AWS gave more
LOOK_SECS = 2


def described(stack):
    """The stack as CloudFormation describes it; with the status `None` if there is none."""
    try:
        return aws("cloudformation", "describe-stacks", "--stack-name", stack)["Stacks"][0]
    except Refused as refused:
        if "does not exist" in str(refused):
            return {"StackStatus": None}
        raise


def region():
    if found := os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"):
        return found
    try:
        return text("configure", "get", "region").strip()
    except Refused:
        sys.exit("no Region: set AWS_REGION, or one in the AWS CLI's configuration")


def table(rows):
    """Rows under each other."""
    widths = [max(len(str(cell)) for cell in column) for column in zip(*rows)]
    return "\n".join(
        "  " + "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    )


def reasons(stack):
    """What failed, newest first."""
    events = aws("cloudformation", "describe-stack-events", "--stack-name", stack)["StackEvents"]
    failed = [event for event in events if "FAILED" in event["ResourceStatus"]]
    return "\n".join(f"  {event['LogicalResourceId']}: {event.get('ResourceStatusReason', '')}" for event in failed)


def begin(stack):
    """Makes sure that the stack can be made or updated; answers whether it is to be made."""
    now = described(stack)["StackStatus"]
    if now == "ROLLBACK_COMPLETE":
        print(
            f"Its creation failed and was rolled back. Such a stack can't be updated, and nothing is in it:\n{reasons(stack)}"
        )
        if not ask("Delete the empty stack, to make it anew?"):
            sys.exit("nothing was changed")
        aws("cloudformation", "delete-stack", "--stack-name", stack)
        if end(stack)["StackStatus"] is not None:
            sys.exit(f"it could not be deleted:\n{reasons(stack)}")
        return True
    if now == "UPDATE_ROLLBACK_FAILED":
        sys.exit(
            f"an update failed, and so did taking it back:\n{reasons(stack)}\nCorrect what is named, then: aws cloudformation "
            f"continue-update-rollback --stack-name {stack}"
        )
    if now in ("ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"):
        sys.exit(
            f"the stack is in {now}, from which it can only be deleted:\n{reasons(stack)}\nLook what is left of it, then: aws "
            f"cloudformation delete-stack --stack-name {stack}"
        )
    if now not in (None, "REVIEW_IN_PROGRESS") and now.endswith("IN_PROGRESS"):
        sys.exit(f"somebody is changing the stack ({now}): wait until it has ended")
    return now in (None, "REVIEW_IN_PROGRESS")


def end(stack, meanwhile=lambda: None):
    """Waits for the end of what CloudFormation does; answers the stack as it is then."""
    while True:
        now = described(stack)
        if not (now["StackStatus"] or "").endswith("IN_PROGRESS"):
            return now
        meanwhile()
        time.sleep(LOOK_SECS)


def package(template, bucket, where):
    """The template with its archives in the bucket; Lambda takes them from one in its own Region only."""
    found = aws("s3api", "get-bucket-location", "--bucket", bucket).get("LocationConstraint") or "us-east-1"
    found = "eu-west-1" if found == "EU" else found
    if found != where:
        sys.exit(
            f"the bucket {bucket} is in {found}: Lambda takes archives from a bucket in its own Region, {where}, only"
        )
    PACKAGED.parent.mkdir(parents=True, exist_ok=True)
    text(
        "cloudformation",
        "package",
        "--template-file",
        template,
        "--use-json",
        "--s3-bucket",
        bucket,
        "--s3-prefix",
        "tagship",
        "--output-template-file",
        str(PACKAGED),
    )
    return str(PACKAGED)


def zone(template, given, where):
    """Whether a new stack is to create its private zone, if nobody said so: not if the VPC has it already."""
    wanted = given.get("ZoneName", "")
    if not wanted or "CreateZone" in given or "Vpc" not in given or "\n  CreateZone:" not in Path(template).read_text():
        return {}
    zones = aws("route53", "list-hosted-zones-by-vpc", "--vpc-id", given["Vpc"], "--vpc-region", where)[
        "HostedZoneSummaries"
    ]
    if any(each["Name"].rstrip(".") == wanted.rstrip(".") for each in zones):
        print(f"{given['Vpc']} has the zone {wanted} already: CreateZone=false")
        return {"CreateZone": "false"}
    return {}


def room(changes):
    """Says so if the event rules to be made don't fit on the bus any more."""
    new = sum(change["ResourceType"] == "AWS::Events::Rule" and change["Action"] == "Add" for change in changes)
    if not new:
        return
    try:
        there = len(aws("events", "list-rules")["Rules"])
        quotas = aws("service-quotas", "list-service-quotas", "--service-code", "events")["Quotas"]
    except Refused:
        return  # not everybody may look; AWS says it when it makes them
    most = next((quota["Value"] for quota in quotas if quota["QuotaName"] == "Number of rules"), RULES)
    if there + new > most:
        print(
            f"The event bus has {there} rules, {new} more are to be made, and AWS allows {most:.0f} in this account: ask for more "
            "first (Service Quotas, Amazon EventBridge, Number of rules)"
        )


def parameters_of(given):
    """Each parameter that was given, by itself or in a file."""
    found = {}
    for each in given:
        key, told, value = each.partition("=")
        if told:
            found[key] = value
            continue
        try:
            found |= {key: str(value) for key, value in json.loads(Path(each).read_text())["Parameters"].items()}
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            sys.exit(f"{each} is neither KEY=VALUE nor a file with Parameters ({error!r}); nothing was changed")
    return found


def changes_of(change_set):
    found = aws("cloudformation", "describe-change-set", "--change-set-name", change_set)
    return [each["ResourceChange"] for each in found["Changes"] if each.get("Type", "Resource") == "Resource"]


def judge(stack, change_set, changes, template, given):
    """Ends here if the change set would move a released service's traffic."""
    if not any(change["ResourceType"] in weights.KINDS for change in changes):
        return
    # What CloudFormation will use: what is given, else what the stack has, else the template's default.
    summary = aws("cloudformation", "get-template-summary", "--template-body", Path(template).resolve().as_uri())
    parameters = {each["ParameterKey"]: each.get("DefaultValue") for each in summary.get("Parameters", [])}
    now = described(stack).get("Parameters", [])
    parameters |= {each["ParameterKey"]: each["ParameterValue"] for each in now if each["ParameterKey"] in parameters}
    problem = weights.problem(changes, parameters | given, *weights.look(stack))
    if problem:
        aws("cloudformation", "delete-change-set", "--change-set-name", change_set)
        sys.exit(f"refused, nothing was changed: {problem}")


def keeping(stack, keeper):
    """Puts settings back as soon as CloudFormation is done with the function, and not while it updates it."""
    try:
        resource = aws(
            "cloudformation", "describe-stack-resource", "--stack-name", stack, "--logical-resource-id", "Provision"
        )
        busy = resource["StackResourceDetail"]["ResourceStatus"].endswith("IN_PROGRESS")
    except Refused:
        busy = True
    if not busy:
        keeper.put_back()


def carry_out(stack, change_set):
    """Executes the change set; answers the stack as it is at the end."""
    function = os.environ.get("FUNCTION")
    keeper = Keeper(function) if function else None
    aws("cloudformation", "execute-change-set", "--change-set-name", change_set)
    if keeper is None:
        return end(stack)
    try:
        ended = end(stack, lambda: keeping(stack, keeper))
        while not keeper.put_back():
            time.sleep(LOOK_SECS)
    except BaseException:
        print(
            f"CloudFormation goes on. When it has ended: python3 infra/keeper.py {function}",
            file=sys.stderr,
        )
        raise
    keeper.done()
    return ended


def main():
    os.environ["AWS_PAGER"] = ""  # all of it at once, and the question after it
    if len(sys.argv) < 3:
        sys.exit("infra/deploy.sh STACK TEMPLATE [Key=Value …]")
    stack, template, *given = sys.argv[1:]
    where = region()
    account = aws("sts", "get-caller-identity")["Account"]
    parameters = parameters_of(given)
    print(f"Stack {stack} in account {account}, {where}, from {template}{' with ' + ' '.join(given) if given else ''}:")
    new = begin(stack)
    parameters |= zone(template, parameters, where) if new else {}
    bucket = os.environ.get("CODE_BUCKET")
    template = package(template, bucket, where) if bucket else template
    said = text(
        "cloudformation",
        "deploy",
        "--stack-name",
        stack,
        "--template-file",
        template,
        "--capabilities",
        "CAPABILITY_NAMED_IAM",
        "CAPABILITY_AUTO_EXPAND",
        "--no-execute-changeset",
        "--no-fail-on-empty-changeset",
        *(["--s3-bucket", bucket, "--s3-prefix", "tagship"] if bucket else []),
        *(["--parameter-overrides", *(f"{key}={value}" for key, value in parameters.items())] if parameters else []),
    )
    change_set = re.search(r"arn:\S*:changeSet/\S*", said)
    if change_set is None:
        print(said.strip())
        return
    change_set = change_set[0]
    changes = changes_of(change_set)
    print(
        table(
            [
                (
                    each["Action"],
                    {"True": "replaced", "Conditional": "perhaps replaced"}.get(each.get("Replacement"), ""),
                    each["ResourceType"],
                    each["LogicalResourceId"],
                )
                for each in changes
            ]
        )
    )
    if new:
        room(changes)
    else:
        judge(stack, change_set, changes, template, parameters)
    answer = ask("Do it?")
    if not answer:
        if new:
            aws("cloudformation", "delete-stack", "--stack-name", stack)  # it has nothing in it
        else:
            aws("cloudformation", "delete-change-set", "--change-set-name", change_set)
        if answer is None:
            sys.exit("Nobody answered, so nothing was changed. Where nobody can: echo y | infra/deploy.sh …")
        return
    if not new:
        judge(stack, change_set, changes, template, parameters)  # the question may have waited for long
    made = carry_out(stack, change_set)
    ended = made["StackStatus"]
    if ended not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        again = " Run this again, and it offers to delete the empty stack." if ended == "ROLLBACK_COMPLETE" else ""
        sys.exit(f"It failed, and CloudFormation took it back ({ended}); newest first:\n{reasons(stack)}{again}")
    print(table([(each["OutputKey"], each["OutputValue"]) for each in made.get("Outputs", [])]))


if __name__ == "__main__":
    try:
        main()
    except Refused as refused:
        sys.exit(str(refused))
    except KeyboardInterrupt:
        sys.exit("interrupted")
