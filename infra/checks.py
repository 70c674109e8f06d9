"""What a first deployment on a real account would find, and no linter says: found in a template before it is deployed.

Each check takes a template in CloudFormation's long form and answers what is wrong with it, one sentence a problem. They
know no AWS library, so that `infra/test_checks.py` can hand them the faults that they are there for.
"""

import re
from typing import NamedTuple

# The longest that CloudFormation can put in, of all Regions and partitions (us-isof-south-1, aws-iso-b).
PSEUDO = {"AWS::AccountId": 12, "AWS::Region": 15, "AWS::Partition": 10, "AWS::StackName": 128, "AWS::URLSuffix": 16}


class Field(NamedTuple):
    """A text that AWS checks only when it makes the resource."""

    kind: str
    path: tuple  # names, and None for each of a list
    allowed: str  # what one character may be
    most: int


EC2 = r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]"
IAM = "[\t\n\r\x20-\x7e\xa1-\xff]"
ANY = "[^\x00]"
NAME = r"[.\-_A-Za-z0-9]"
FIELDS = [
    Field("AWS::EC2::SecurityGroup", ("GroupDescription",), EC2, 255),
    Field("AWS::EC2::SecurityGroup", ("SecurityGroupIngress", None, "Description"), EC2, 255),
    Field("AWS::EC2::SecurityGroup", ("SecurityGroupEgress", None, "Description"), EC2, 255),
    Field("AWS::EC2::SecurityGroupIngress", ("Description",), EC2, 255),
    Field("AWS::EC2::SecurityGroupEgress", ("Description",), EC2, 255),
    Field("AWS::IAM::Role", ("Description",), IAM, 1000),
    Field("AWS::IAM::Role", ("Policies", None, "PolicyName"), r"[\w+=,.@-]", 128),
    Field("AWS::IAM::ManagedPolicy", ("Description",), IAM, 1000),
    Field("AWS::Events::Rule", ("Name",), NAME, 64),
    Field("AWS::Events::Rule", ("Description",), ANY, 512),
    Field("AWS::Events::Rule", ("Targets", None, "Id"), NAME, 64),
    Field("AWS::Lambda::Function", ("FunctionName",), r"[a-zA-Z0-9\-_]", 64),
    Field("AWS::Lambda::Function", ("Description",), ANY, 256),
    Field("AWS::S3::Bucket", ("BucketName",), r"[a-z0-9.\-]", 63),
    Field("AWS::SNS::Topic", ("DisplayName",), ANY, 100),
    Field("AWS::KMS::Key", ("Description",), ANY, 8192),
    Field("AWS::CloudWatch::Alarm", ("AlarmDescription",), ANY, 1024),
    Field("AWS::CodePipeline::Pipeline", ("Name",), r"[A-Za-z0-9.@\-_]", 100),
    Field("AWS::CodePipeline::Pipeline", ("Stages", None, "Actions", None, "Name"), r"[A-Za-z0-9.@\-_]", 100),
    Field("AWS::CodeDeploy::Application", ("ApplicationName",), ANY, 100),
    Field("AWS::CodeDeploy::DeploymentGroup", ("DeploymentGroupName",), ANY, 100),
    Field("AWS::Route53::HostedZone", ("HostedZoneConfig", "Comment"), ANY, 256),
]


def resources(template, *kinds):
    """The resources of these kinds: logical id, properties."""
    for name, resource in template["Resources"].items():
        if resource["Type"] in kinds:
            yield name, resource.get("Properties", {})


def each(value):
    """A list's entries, or the one that stands for a list; both branches of a condition."""
    for entry in value if isinstance(value, list) else [value]:
        if isinstance(entry, dict) and set(entry) == {"Fn::If"}:
            yield from each(entry["Fn::If"][1])
            yield from each(entry["Fn::If"][2])
        elif entry is not None and entry != {"Ref": "AWS::NoValue"}:
            yield entry


def inside(value, path=()):
    """Every text in a value, and where."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield from inside(entry, (*path, key))
    elif isinstance(value, list):
        for entry in value:
            yield from inside(entry, path)


def at(value, path):
    """The values at a path."""
    for entry in each(value):
        if not path:
            yield entry
        elif path[0] is None:
            yield from at(entry, path[1:])
        elif isinstance(entry, dict) and path[0] in entry:
            found = entry[path[0]]
            # Only a path that says so goes into a list.
            yield from (at(found, path[1:]) if len(path) > 1 else each(found))


def statements(template):
    """Each statement of each role and policy: whose, its actions, the statement."""
    for name, properties in resources(template, "AWS::IAM::Role", "AWS::IAM::ManagedPolicy"):
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        documents += [properties["PolicyDocument"]] if "PolicyDocument" in properties else []
        for statement in (each_one for document in documents for each_one in each(document["Statement"])):
            yield name, list(each(statement["Action"])), statement


def widest(value, template):
    """A text with what CloudFormation may put into it at its longest, as (literal text, length); None: unknown."""

    def length(name):
        if name in PSEUDO:
            return PSEUDO[name]
        parameter = template.get("Parameters", {}).get(name)
        if parameter is None:
            return None
        most = [int(parameter["MaxLength"])] if "MaxLength" in parameter else []
        most += [max(len(str(one)) for one in parameter["AllowedValues"])] if "AllowedValues" in parameter else []
        if "AllowedPattern" in parameter:
            width = re._parser.parse(parameter["AllowedPattern"]).getwidth()[1]  # noqa: SLF001
            most += [width] if width < 10_000 else []
        return min(most) if most else None

    match value:
        case str():
            return value, len(value)
        case {"Ref": name}:
            return "", length(name)
        case {"Fn::Sub": str() as text}:
            parts = re.split(r"\$\{([^!}]+)\}", text)
            lengths = [length(name) for name in parts[1::2]]
            literal = "".join(parts[::2])
            return literal, None if None in lengths else len(literal) + sum(lengths)
    return "", None


def texts(template):
    """Characters and lengths that AWS refuses when the resource is made."""
    for field in FIELDS:
        for name, properties in resources(template, field.kind):
            for value in at(properties, field.path):
                where = f"{name}.{'.'.join(step for step in field.path if step)}"
                literal, length = widest(value, template)
                wrong = sorted({character for character in literal if not re.fullmatch(field.allowed, character)})
                if wrong:
                    yield f"{where}: AWS takes no {' '.join(wrong)} there: {literal!r}"
                if length is not None and length > field.most:
                    yield f"{where}: may have {length} characters, AWS takes {field.most}; limit its parameters' lengths"
                if length is None and field.most <= 64 and value != literal:
                    yield f"{where}: AWS takes {field.most} characters; limit the lengths of its parameters"
    for name, _, statement in statements(template):
        if not re.fullmatch("[A-Za-z0-9]*", statement.get("Sid", "")):
            yield f"{name}: the statement {statement['Sid']!r}: IAM takes letters and digits there"


def referred(value):
    """The logical ids that a value refers to."""
    for path, text in inside(value):
        if path and path[-1] in ("Ref", "DependsOn"):
            yield text
        elif path and path[-1] == "Fn::GetAtt":
            yield text.split(".")[0]
        elif path and path[-1] == "Fn::Sub":
            yield from (found.split(".")[0] for found in re.findall(r"\$\{([^!}]+)\}", text))


def before(name, template, known=None):
    """The resources that are made before this one."""
    known = set() if known is None else known
    resource = template["Resources"].get(name, {})
    for other in referred({key: resource.get(key) for key in ("DependsOn", "Properties") if key in resource}):
        if other in template["Resources"] and other not in known:
            known.add(other)
            before(other, template, known)
    return known


def order(template):
    """What a resource's role must be allowed when the resource is made, and isn't yet: CloudFormation makes a policy
    that is attached apart from its role when it likes."""
    for name, properties in resources(template, "AWS::Lambda::EventInvokeConfig", "AWS::Lambda::Function"):
        wanted = [
            *at(properties, ("DestinationConfig", "OnFailure", "Destination")),
            *at(properties, ("DestinationConfig", "OnSuccess", "Destination")),
            *at(properties, ("DeadLetterConfig", "TargetArn")),
        ]
        if not wanted:
            continue
        function = next((each_one for each_one in referred(properties.get("FunctionName", {}))), name)
        role = next(iter(referred(template["Resources"][function]["Properties"].get("Role", {}))), None)
        kinds = {"SQS": {"sqs:SendMessage"}, "SNS": {"sns:Publish"}, "Lambda": {"lambda:InvokeFunction"}}
        [kind, *_] = [*at(properties, ("DestinationConfig", "OnFailure", "Type")), None]
        needed = kinds.get(kind, set.union(*kinds.values()))
        grants = {holder for holder, actions, _ in statements(template) if set(actions) & needed}
        attached = {
            policy
            for policy, own in resources(template, "AWS::IAM::ManagedPolicy")
            if role in referred(own.get("Roles", []))
        }
        if role in grants:
            continue
        if not grants & attached:
            yield f"{name}: {role} may not send to the destination, which Lambda checks when {name} is made"
        elif not grants & attached & before(name, template):
            policies = ", ".join(sorted(grants & attached))
            yield f"{name}: Lambda checks at once that {role} may send to the destination: DependsOn {policies} is missing"


def repeatable(template):
    """A create that failed must leave nothing that stands in the way of the next."""
    for name, resource in template["Resources"].items():
        if resource.get("DeletionPolicy") == "Retain":
            yield f"{name}: stays when the stack's creation fails, and its name is taken then: RetainExceptOnCreate"


def permissions(template):
    """A function's resource policy takes 20,480 bytes."""
    for name, properties in resources(template, "AWS::Lambda::Permission"):
        if not set(referred(properties["FunctionName"])) & set(template["Resources"]):
            yield (
                f"{name}: each stack of this template adds a statement to the policy of a function that isn't its own, "
                "which takes some fifty: let the function's template have one for all, by name prefix"
            )


def partitions(template):
    """What is called otherwise in China and GovCloud."""
    for name, resource in template["Resources"].items():
        for path, text in inside(resource.get("Properties", {})):
            where = ".".join((name, *(step for step in path if not step.startswith("Fn::"))))
            for literal in ("arn:aws:", "console.aws.amazon.com"):
                if literal in text:
                    yield f"{where}: {literal} is only one partition's: AWS::Partition, or a mapping by it"
    for name, _, statement in statements(template):
        passed = list(at(statement, ("Condition", "StringEquals", "iam:PassedToService")))
        if "ec2.amazonaws.com" in passed and "ec2.amazonaws.com.cn" not in passed:
            yield f"{name}: iam:PassedToService is ec2.amazonaws.com.cn in China"


def weights(template):
    """The weights of a released service belong to tagship."""
    kinds = "AWS::ElasticLoadBalancingV2::ListenerRule", "AWS::ElasticLoadBalancingV2::Listener"
    for name, properties in resources(template, *kinds):
        actions = [*each(properties.get("Actions", [])), *each(properties.get("DefaultActions", []))]
        for weight in at(actions, (None, "ForwardConfig", "TargetGroups", None, "Weight")):
            if not isinstance(weight, dict):
                yield f"{name}: an update that rewrites it would set the weight {weight}: let a parameter carry the live one"


def told(template):
    """The execution that making a pipeline starts fails, since nothing was uploaded: nobody is to be alarmed by it."""
    for name, properties in resources(template, "AWS::Events::Rule"):
        pattern = properties.get("EventPattern", {})
        people = any("Topic" in target for to in each(properties.get("Targets", [])) for target in referred(to["Arn"]))
        whole = "CodePipeline Pipeline Execution State Change" in pattern.get("detail-type", [])
        if people and whole and "FAILED" in pattern.get("detail", {}).get("state", ["FAILED"]):
            yield f"{name}: tells people FAILED of the execution that making the pipeline starts: tell the stage's end"
    for name, properties in resources(template, "AWS::CloudWatch::Alarm"):
        if properties.get("TreatMissingData") == "breaching":
            yield f"{name}: rings from its creation until its metric is first written: treat missing data as missing"


def copies(template):
    """CodePipeline's copies of artifacts are objects of their own: without an expiration they stay for ever."""
    for name, properties in resources(template, "AWS::CodePipeline::Pipeline"):
        for bucket in referred(properties.get("ArtifactStore", {}).get("Location", {})):
            rules = list(
                at(template["Resources"].get(bucket, {}), ("Properties", "LifecycleConfiguration", "Rules", None))
            )
            if bucket in template["Resources"] and not any("ExpirationInDays" in rule for rule in rules):
                yield f"{bucket}: keeps {name}'s copies of artifacts for ever: let them expire"


def bounds(template):
    """What a company asks of each role, and what binds a read of what is another's."""
    for name, properties in resources(template, "AWS::IAM::Role"):
        if "PermissionsBoundary" not in properties or "Path" not in properties:
            yield f"{name}: takes no permissions boundary or no path: parameters"
    for name, actions, statement in statements(template):
        where = [widest(resource, template)[0] for resource in each(statement["Resource"])]
        if "ssm:GetParameter" in actions and any(resource.endswith(":parameter/*") for resource in where):
            yield f"{name}: ssm:GetParameter reads every parameter of the account"
        foreign = [text for text in where if ":s3:::" in text and ":s3:::aws-" not in text]
        bound = list(at(statement, ("Condition", "StringEquals", "aws:ResourceAccount")))
        if set(actions) & {"s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket"} and foreign and not bound:
            yield f"{name}: reads a bucket by its name, which anybody may have: aws:ResourceAccount is missing"


CHECKS = (texts, order, repeatable, permissions, partitions, weights, told, copies, bounds)


def problems(template):
    """All of it."""
    return [problem for check in CHECKS for problem in check(template)]
