//! How AWS names the types of resources: what `Ref` and `GetAtt Arn` give of one that a stack makes.

use super::Stack;

/// How AWS names one type of resource.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// The property that may name it.
    pub(super) property: &'static str,
    /// Its ARN, with `{P}`, `{R}`, `{A}` and `{N}` for partition, Region, account and name.
    arn: &'static str,
    pub(super) reference_is_arn: bool,
}

impl Kind {
    pub(super) fn arn(&self, name: &str, stack: &Stack) -> String {
        let arn = self.arn.replace("{P}", stack.partition()).replace("{R}", &stack.region);
        arn.replace("{A}", &stack.account).replace("{N}", name)
    }
}

const fn kind(name: &'static str, property: &'static str, arn: &'static str) -> Kind {
    Kind { name, property, arn, reference_is_arn: false }
}

pub(super) const KINDS: [Kind; 13] = [
    kind("AWS::CodePipeline::Pipeline", "Name", "arn:{P}:codepipeline:{R}:{A}:{N}"),
    kind("AWS::Lambda::Function", "FunctionName", "arn:{P}:lambda:{R}:{A}:function:{N}"),
    kind("AWS::Serverless::Function", "FunctionName", "arn:{P}:lambda:{R}:{A}:function:{N}"),
    kind("AWS::IAM::Role", "RoleName", "arn:{P}:iam::{A}:role/{N}"),
    kind("AWS::S3::Bucket", "BucketName", "arn:{P}:s3:::{N}"),
    kind("AWS::Events::Rule", "Name", "arn:{P}:events:{R}:{A}:rule/{N}"),
    kind("AWS::SQS::Queue", "QueueName", "arn:{P}:sqs:{R}:{A}:{N}"),
    kind("AWS::CloudWatch::Alarm", "AlarmName", "arn:{P}:cloudwatch:{R}:{A}:alarm:{N}"),
    kind("AWS::Logs::LogGroup", "LogGroupName", "arn:{P}:logs:{R}:{A}:log-group:{N}:*"),
    kind("AWS::KMS::Key", "", "arn:{P}:kms:{R}:{A}:key/{N}"),
    kind("AWS::CodeDeploy::Application", "ApplicationName", "arn:{P}:codedeploy:{R}:{A}:application:{N}"),
    kind("AWS::CodeDeploy::DeploymentGroup", "DeploymentGroupName", "arn:{P}:codedeploy:{R}:{A}:deploymentgroup:{N}"),
    Kind { name: "AWS::SNS::Topic", property: "TopicName", arn: "arn:{P}:sns:{R}:{A}:{N}", reference_is_arn: true },
];
