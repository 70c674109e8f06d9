//! The AWS call that each step is, as IAM names it.

use crate::Step;

/// The call that a step is.
pub fn call(step: &Step) -> &'static str {
    match step {
        Step::WriteHold { .. } | Step::WriteEnded(_) | Step::WriteRoster { .. } => "s3:PutObject",
        Step::DeleteHold { .. } => "s3:DeleteObject",
        Step::Launch(_) => "ec2:RunInstances",
        Step::Terminate { .. } => "ec2:TerminateInstances",
        Step::TagRetired { .. } => "ec2:CreateTags",
        Step::Stop { .. } => "ec2:StopInstances",
        Step::AllocateAddress { .. } => "ec2:AllocateAddress",
        Step::AssociateAddress { .. } => "ec2:AssociateAddress",
        Step::DisassociateAddress { .. } => "ec2:DisassociateAddress",
        Step::ReleaseAddress { .. } => "ec2:ReleaseAddress",
        Step::ChangeNames { .. } => "route53:ChangeResourceRecordSets",
        Step::FilterDeployments { .. } => "codedeploy:UpdateDeploymentGroup",
        Step::CreateDeployment { .. } => "codedeploy:CreateDeployment",
        Step::StopDeployment { .. } => "codedeploy:StopDeployment",
        Step::Register { .. } => "elasticloadbalancing:RegisterTargets",
        Step::Deregister { .. } => "elasticloadbalancing:DeregisterTargets",
        Step::SetWeights { switch, .. } if switch.contains(":listener-rule/") => "elasticloadbalancing:ModifyRule",
        Step::SetWeights { .. } => "elasticloadbalancing:ModifyListener",
        Step::PointTest { .. } => "elasticloadbalancing:ModifyRule",
        Step::Abandon { .. } => "events:PutEvents",
        Step::CallHook(_) => "lambda:InvokeFunction",
        Step::StopExecution { .. } => "codepipeline:StopPipelineExecution",
    }
}
