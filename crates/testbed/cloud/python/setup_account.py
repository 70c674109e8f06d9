"""Brings up an account in the local cloud: network, load balancer, buckets, and the stacks of each service and pipeline.

Reads the plan as JSON from standard input and prints what it made as JSON; setup.rs says what stands in both.
"""

import json
import sys

import boto3

INSTANCE_TYPE = "t3.micro"


def main() -> None:
    plan = json.load(sys.stdin)
    network = make_network(plan["octet"])
    for pipeline in plan["pipelines"]:
        deploy_pipeline(plan["templates"]["pipeline"], network, pipeline)
    services = {}
    zones: set[str | None] = {None}
    for service in plan["services"]:
        creates_zone = service["zone"] not in zones
        services[service["service_role"]] = deploy_service(plan["templates"]["service"], network, service, creates_zone)
        zones.add(service["zone"])
    print(json.dumps({**network, "services": services}))


def make_network(octet: int) -> dict:
    """All that services share."""
    ec2, elb = boto3.client("ec2"), boto3.client("elbv2")
    # On Linux the whole of 127.0.0.0/8 is local: every address of this VPC can be bound.
    vpc = ec2.create_vpc(CidrBlock=f"127.{octet}.0.0/16")["Vpc"]["VpcId"]
    region = ec2.meta.region_name
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"127.{octet}.{16 * n}.0/20", AvailabilityZone=f"{region}{zone}")["Subnet"]
        for n, zone in ((1, "a"), (2, "b"))
    ]
    subnets = [subnet["SubnetId"] for subnet in subnets]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    [table] = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
    ec2.create_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    image = ec2.register_image(
        Name="application-host",
        RootDeviceName="/dev/xvda",
        Architecture="x86_64",
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8, "VolumeType": "gp3"}}],
    )["ImageId"]
    ec2.create_tags(Resources=[image], Tags=[{"Key": "Name", "Value": "application-host"}])
    boto3.client("ssm").put_parameter(Name="/tagship/ami", Value=image, Type="String")
    ec2.create_key_pair(KeyName="ops")
    group = ec2.create_security_group(GroupName="load-balancer", Description="the load balancer", VpcId=vpc)["GroupId"]
    balancer = elb.create_load_balancer(Name="company", Subnets=subnets, SecurityGroups=[group])
    balancer = balancer["LoadBalancers"][0]["LoadBalancerArn"]
    nothing = {"StatusCode": "404", "ContentType": "text/plain", "MessageBody": "no such host"}
    listeners = [
        elb.create_listener(
            LoadBalancerArn=balancer,
            Protocol="HTTP",  # the second is HTTPS on AWS; the rules are the same
            Port=port,
            DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": nothing}],
        )["Listeners"][0]["ListenerArn"]
        for port in (80, 443)
    ]
    account = boto3.client("sts").get_caller_identity()["Account"]
    make_bucket(f"tagship-{account}")
    return {
        "account": account,
        "region": region,
        "vpc": vpc,
        "subnets": subnets,
        "image": image,
        "key_name": "ops",
        "load_balancer": balancer,
        "load_balancer_security_group": group,
        "http_listener": listeners[0],
        "https_listener": listeners[1],
        "bucket": f"tagship-{account}",
        "topic": boto3.client("sns").create_topic(Name="tagship")["TopicArn"],
        "chat_topic": boto3.client("sns").create_topic(Name="tagship-chat")["TopicArn"],
    }


def make_bucket(name: str) -> str:
    """A versioned bucket; one that is there already is left alone."""
    s3 = boto3.client("s3")
    if name not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=name)
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def deploy_pipeline(template_path: str, network: dict, pipeline: dict) -> None:
    """Deploys infra/pipeline.yaml as it is. What the emulator lacks, the local cloud makes of the stack."""
    parameters = {"PipelineName": pipeline["name"], "TopicArn": network["topic"], **pipeline["parameters"]}
    deploy(f"{pipeline['name']}-pipeline", template_path, parameters)


def deploy(stack: str, template_path: str, parameters: dict) -> dict:
    """A stack, once it is there."""
    cloudformation = boto3.client("cloudformation")
    with open(template_path) as file:
        template = file.read()
    cloudformation.create_stack(
        StackName=stack,
        TemplateBody=template,
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": str(value)} for key, value in parameters.items()],
    )
    described = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    if described["StackStatus"] != "CREATE_COMPLETE":
        sys.exit(f"{stack}: {described['StackStatus']}: {described.get('StackStatusReason')}")
    return described


def deploy_service(template_path: str, network: dict, service: dict, creates_zone: bool) -> dict:
    """Deploys the template as it is through CloudFormation, and makes sure that nothing of it was left out."""
    role = service["service_role"]
    parameters = {
        "ServiceRole": role,
        "Port": service["port"],
        "HealthCheckPath": service["health_check_path"],
        "HostNames": ",".join(service["hosts"]),
        "RulePriority": service["rule_priority"],
        "Vpc": network["vpc"],
        "Subnets": ",".join(network["subnets"]),
        "HttpListener": network["http_listener"],
        "HttpsListener": network["https_listener"],
        "LoadBalancerSecurityGroup": network["load_balancer_security_group"],
        "ZoneName": service["zone"] or "",
        "CreateZone": str(creates_zone).lower(),
        "Ami": network["image"],
        "InstanceType": INSTANCE_TYPE,
        "Count": service["count"],
        "PipelineName": service["pipeline"],
        "HealthCheckSeconds": service["health_check_secs"],
        "HealthCheckTimeoutSeconds": service["health_check_timeout_secs"],
        "DrainSeconds": service["drain_secs"],
        "TestPriority": (service["test"] or ["", ""])[0],
        "TestSecret": (service["test"] or ["", ""])[1],
    }
    stack = "service-" + role.lower().replace("_", "-")
    described = deploy(stack, template_path, parameters)
    made = {
        r["LogicalResourceId"]: r.get("PhysicalResourceId")
        for r in boto3.client("cloudformation").describe_stack_resources(StackName=stack)["StackResources"]
        if "LogicalResourceId" in r  # moto lists what a condition left out, empty
    }
    absent = ("ListenerCertificate", "Viewers", "ViewersOfGroup", "Outbound", "ErrorAlarm", "LatencyAlarm")  # nobody asked for them
    conditional = {"Zone": creates_zone, "TestRule": bool(service["test"]), **dict.fromkeys(absent, False)}
    wanted = [name for name in resource_names(template_path) if conditional.get(name, True)]
    missing = [name for name in wanted if not made.get(name)]
    if missing:
        sys.exit(f"{stack}: the emulator made no {missing}")
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
    return {
        "pipeline": service["pipeline"],
        # as infra/pipeline.yaml names it, whose stack isn't set up for every test
        "bucket": make_bucket(f"{service['pipeline']}-releases-{network['account']}-{network['region']}"),
        "target_groups": outputs["TargetGroups"].split(","),
        "rules": [made["HttpRule"], made["HttpsRule"]],
        "test_rule": made.get("TestRule"),
        "security_group": outputs["SecurityGroup"],
        "instance_profile": outputs["InstanceProfile"],
        "instance_role": outputs["InstanceRole"],
        "settings": json.loads(outputs["Settings"]),
    }


def resource_names(template_path: str) -> list[str]:
    """The logical ids under `Resources:`, which are what stands two spaces in."""
    with open(template_path) as file:
        template = file.read()
    section = template.split("\nResources:\n")[1].split("\nOutputs:\n")[0]
    return [line.strip().split(":")[0] for line in section.splitlines() if line[:2] == "  " and line[2:3].isalpha()]


if __name__ == "__main__":
    main()
