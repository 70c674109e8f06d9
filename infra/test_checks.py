"""Each fault that checks.py is there for, as the templates once had it: it must be found, and not where it was mended.

Run by `make validate`, before anything is judged.
"""

import unittest

import checks
from samtranslator.yaml_helper import yaml_parse

# Resources as they were, what must be said of them, and as they are now; both under `Resources:`, two spaces in.
FAULTS = {
    "an apostrophe in a security group's rule": (
        """
  Group:
    Type: AWS::EC2::SecurityGroup
    Properties:
      GroupDescription: !Sub "${ServiceRole}: instances"
      SecurityGroupEgress: [{Description: AWS's APIs and whatever else, IpProtocol: tcp, CidrIp: 0.0.0.0/0}]
""",
        "Group.SecurityGroupEgress.Description: AWS takes no '",
        ("AWS's APIs", "The APIs of AWS"),
    ),
    "an umlaut in a group's description, in a condition": (
        """
  Group:
    Type: AWS::EC2::SecurityGroup
    Properties:
      GroupDescription: instances
      SecurityGroupIngress: [!If [HasCidr, {Description: Gäste, CidrIp: 10.0.0.0/8}, !Ref AWS::NoValue]]
""",
        "Group.SecurityGroupIngress.Description: AWS takes no ä",
        ("Gäste", "Guests"),
    ),
    "a description that outgrows its field": (
        """
  Policy:
    Type: AWS::SNS::Topic
    Properties: {DisplayName: """
        + "n" * 101
        + """}
""",
        "DisplayName: may have 101 characters, AWS takes 100",
        ("n" * 101, "short"),
    ),
    "a bucket's name that outgrows 63": (
        """
  Bucket:
    Type: AWS::S3::Bucket
    Properties: {BucketName: !Sub "${Long}-releases-${AWS::AccountId}-${AWS::Region}"}
""",
        "Bucket.BucketName: may have 78 characters, AWS takes 63",
        ("${Long}", "${Short}"),
    ),
    "a rule's name that nothing limits": (
        """
  Rule:
    Type: AWS::Events::Rule
    Properties: {Name: !Sub "tagship-${Endless}-ended"}
""",
        "Rule.Name: AWS takes 64 characters; limit",
        ("${Endless}", "${Short}"),
    ),
    "a destination before the permission to send to it": (
        """
  Invoke:
    Type: AWS::Lambda::EventInvokeConfig
    Properties:
      FunctionName: !Ref Function
      DestinationConfig: {OnFailure: {Destination: !GetAtt Queue.Arn}}
  Function: {Type: AWS::Lambda::Function, Properties: {Role: !GetAtt Role.Arn}}
  Role: {Type: AWS::IAM::Role, Properties: {Path: /, PermissionsBoundary: b}}
  Queue: {Type: AWS::SQS::Queue}
  EveryFunction:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      Roles: [!Ref Role]
      PolicyDocument: {Statement: [{Action: "sqs:SendMessage", Resource: !GetAtt Queue.Arn}]}
""",
        "DependsOn EveryFunction is missing",
        ("AWS::Lambda::Function, ", "AWS::Lambda::Function, DependsOn: EveryFunction, "),
    ),
    "a destination that nobody may send to": (
        """
  Invoke:
    Type: AWS::Lambda::EventInvokeConfig
    Properties:
      FunctionName: !Ref Function
      DestinationConfig: {OnFailure: {Destination: !GetAtt Queue.Arn}}
  Function: {Type: AWS::Lambda::Function, Properties: {Role: !GetAtt Role.Arn}}
  Role:
    Type: AWS::IAM::Role
    Properties:
      Path: /
      PermissionsBoundary: b
      Policies: [{PolicyName: p, PolicyDocument: {Statement: [{Action: "sqs:ReceiveMessage", Resource: "*"}]}}]
  Queue: {Type: AWS::SQS::Queue}
""",
        "Role may not send to the destination",
        ("sqs:ReceiveMessage", "sqs:SendMessage"),
    ),
    "a bucket that a failed create leaves behind": (
        """
  Bucket: {Type: AWS::S3::Bucket, DeletionPolicy: Retain, Properties: {BucketName: releases}}
""",
        "Bucket: stays when the stack's creation fails",
        ("Retain,", "RetainExceptOnCreate,"),
    ),
    "a permission for each service's rule": (
        """
  Permission:
    Type: AWS::Lambda::Permission
    Properties: {FunctionName: !Sub "arn:${AWS::Partition}:lambda:${AWS::Region}:1:function:route", SourceArn: x}
  Function: {Type: AWS::Lambda::Function, Properties: {}}
""",
        "adds a statement to the policy of a function that isn't its own",
        ('!Sub "arn:${AWS::Partition}:lambda:${AWS::Region}:1:function:route"', "!Ref Function"),
    ),
    "the console of one partition": (
        """
  Rule:
    Type: AWS::Events::Rule
    Properties: {Targets: [{Id: a, Arn: x, InputTransformer: {InputTemplate: "https://<r>.console.aws.amazon.com/"}}]}
""",
        "Rule.Targets.InputTransformer.InputTemplate: console.aws.amazon.com is only one partition's",
        ('"https://<r>.console.aws.amazon.com/"', '!Sub "https://<r>.${Console}/"'),
    ),
    "an ARN of one partition": (
        """
  Function: {Type: AWS::Lambda::Function, Properties: {Role: "arn:aws:iam::1:role/r"}}
""",
        "Function.Role: arn:aws: is only one partition's",
        ('"arn:aws:', '!Sub "arn:${AWS::Partition}:'),
    ),
    "a role passed to EC2 of one partition": (
        """
  Role:
    Type: AWS::IAM::Role
    Properties:
      Path: /
      PermissionsBoundary: b
      Policies:
        - PolicyName: p
          PolicyDocument:
            Statement:
              - Action: iam:PassRole
                Resource: r
                Condition: {StringEquals: {"iam:PassedToService": ec2.amazonaws.com}}
""",
        "ec2.amazonaws.com.cn in China",
        (": ec2.amazonaws.com}", ": [ec2.amazonaws.com, ec2.amazonaws.com.cn]}"),
    ),
    "weights that an update would set back": (
        """
  Rule:
    Type: AWS::ElasticLoadBalancingV2::ListenerRule
    Properties: {Actions: [{Type: forward, ForwardConfig: {TargetGroups: [{TargetGroupArn: a, Weight: 100}]}}]}
""",
        "would set the weight 100",
        ("100", "!Ref WeightA"),
    ),
    "the first execution's failure, told": (
        """
  Told:
    Type: AWS::Events::Rule
    Properties:
      EventPattern:
        detail-type: [CodePipeline Pipeline Execution State Change]
        detail: {state: [FAILED, STOPPED]}
      Targets: [{Id: topic, Arn: !Ref TopicArn}]
""",
        "Told: tells people FAILED of the execution",
        ("Pipeline Execution", "Stage Execution"),
    ),
    "an alarm that rings from its creation": (
        """
  Alarm: {Type: AWS::CloudWatch::Alarm, Properties: {TreatMissingData: breaching}}
""",
        "Alarm: rings from its creation",
        ("breaching", "missing"),
    ),
    "copies of artifacts for ever": (
        """
  Pipeline: {Type: AWS::CodePipeline::Pipeline, Properties: {ArtifactStore: {Location: !Ref Bucket}}}
  Bucket:
    Type: AWS::S3::Bucket
    Properties: {LifecycleConfiguration: {Rules: [{Id: old, NoncurrentVersionExpiration: {NoncurrentDays: 90}}]}}
""",
        "Bucket: keeps Pipeline's copies of artifacts for ever",
        ("{Id: old,", "{Id: old, ExpirationInDays: 200,"),
    ),
    "a role without a boundary": (
        """
  Role: {Type: AWS::IAM::Role, Properties: {Path: /}}
""",
        "Role: takes no permissions boundary",
        ("Path: /", "Path: /, PermissionsBoundary: b"),
    ),
    "every parameter of the account": (
        """
  Policy:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      PolicyDocument:
        Statement:
          - {Action: "ssm:GetParameter", Resource: !Sub "arn:${AWS::Partition}:ssm:${AWS::Region}:1:parameter/*"}
""",
        "reads every parameter of the account",
        ("parameter/*", "parameter/tagship/*"),
    ),
    "somebody's bucket of the right name": (
        """
  Policy:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      PolicyDocument:
        Statement:
          - Action: s3:GetObject
            Resource: !Sub "arn:${AWS::Partition}:s3:::*-releases-${AWS::AccountId}/*"
""",
        "aws:ResourceAccount is missing",
        (
            "Action: s3:GetObject",
            'Condition: {StringEquals: {"aws:ResourceAccount": "1"}}\n            Action: s3:GetObject',
        ),
    ),
}

PARAMETERS = r"""
Parameters:
  ServiceRole: {Type: String, AllowedPattern: "[a-zA-Z][a-zA-Z0-9_]+", MaxLength: 63}
  Long: {Type: String, AllowedPattern: "[a-z][a-z0-9-]{1,39}"}
  Short: {Type: String, AllowedPattern: "[a-z][a-z0-9-]{1,19}"}
  Endless: {Type: String}
  TopicArn: {Type: String}
Resources:
"""


class Faults(unittest.TestCase):
    def test_each_is_found_and_its_mending_passes(self):
        for name, (resources, expected, (wrong, right)) in FAULTS.items():
            with self.subTest(name):
                said = checks.problems(yaml_parse(PARAMETERS + resources))
                self.assertEqual(len(said), 1, said)
                self.assertIn(expected, said[0])
                self.assertIn(wrong, resources)
                self.assertEqual(checks.problems(yaml_parse(PARAMETERS + resources.replace(wrong, right))), [])

    def test_each_check_finds_something(self):
        found = set()
        for resources, *_ in FAULTS.values():
            template = yaml_parse(PARAMETERS + resources)
            found |= {check.__name__ for check in checks.CHECKS if list(check(template))}
        self.assertEqual(found, {check.__name__ for check in checks.CHECKS})


if __name__ == "__main__":
    unittest.main()
