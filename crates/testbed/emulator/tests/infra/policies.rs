//! What roles and people may do, in which partition, and with whose keys.

use super::{ACCOUNT, PIPELINE, RELEASES, TOPIC, account, read_in, service, template};
use serde_json::json;
use tagship_emulator::policy::Request;
use tagship_emulator::template::Template;

/// Whether who has the policy (its logical id) may do this to what is this account's, and a service of tagship's.
#[track_caller]
fn check_may(template: &Template, policy: &str, action: &str, resource: &str, expected: bool) {
    let context = [("aws:ResourceAccount", "123456789012"), ("aws:ResourceTag/tagship:service", "MZUM_WEB_PRODUCT")];
    check_may_so(template, policy, action, resource, &context, expected);
}

#[track_caller]
fn check_may_so(
    template: &Template,
    policy: &str,
    action: &str,
    resource: &str,
    context: &[(&str, &str)],
    expected: bool,
) {
    let policies = template.policies().expect("policies");
    let context = context.iter().map(|(key, value)| ((*key).to_owned(), vec![(*value).to_owned()])).collect();
    let request = Request { action: action.into(), resource: resource.into(), context };
    assert_eq!(policies[policy].allows(&request), expected, "{policy}: {request:?}");
}

#[test]
fn a_build_server_may_put_a_release_and_nothing_else() {
    let template = template(&[]);
    let release = format!("{RELEASES}/release.zip");
    check_may(&template, "UploadPolicy", "s3:PutObject", &release, true);
    check_may(&template, "UploadPolicy", "s3:AbortMultipartUpload", &release, true);
    for action in ["s3:GetObject", "s3:GetObjectVersion", "s3:DeleteObject", "s3:PutObjectTagging", "s3:PutObjectAcl"] {
        check_may(&template, "UploadPolicy", action, &release, false);
    }
    for other in ["release.zip.bak", "mzum-web/App/x", ""] {
        check_may(&template, "UploadPolicy", "s3:PutObject", &format!("{RELEASES}/{other}"), false);
    }
    check_may(&template, "UploadPolicy", "s3:ListBucket", RELEASES, false);
    check_may(
        &template,
        "UploadPolicy",
        "s3:PutObject",
        "arn:aws:s3:::shop-releases-123456789012-eu-west-1/release.zip",
        false,
    );
    check_may(
        &template,
        "UploadPolicy",
        "codepipeline:StartPipelineExecution",
        "arn:aws:codepipeline:eu-west-1:123456789012:mzum-web",
        false,
    );
}

#[test]
fn a_pipeline_may_use_its_own_bucket_the_four_functions_and_its_topic() {
    let (quiet, told) = (template(&[]), template(&[TOPIC]));
    let function = |name: &str| format!("arn:aws:lambda:eu-west-1:123456789012:function:{name}");
    for name in ["provision", "deploy", "route", "cleanup"] {
        check_may(&quiet, "PipelineRole", "lambda:InvokeFunction", &function(&format!("tagship-{name}")), true);
    }
    check_may(&quiet, "PipelineRole", "lambda:InvokeFunction", &function("payroll"), false);
    check_may(&quiet, "PipelineRole", "lambda:UpdateFunctionCode", &function("tagship-route"), false);
    for (action, key) in
        [("s3:GetObjectVersion", "release.zip"), ("s3:GetObject", "x"), ("s3:PutObject", "mzum-web/App/x")]
    {
        check_may(&quiet, "PipelineRole", action, &format!("{RELEASES}/{key}"), true);
        check_may(&quiet, "PipelineRole", action, &format!("arn:aws:s3:::tagship-123456789012/{key}"), false);
    }
    check_may(&quiet, "PipelineRole", "s3:GetBucketVersioning", RELEASES, true);
    check_may(&quiet, "PipelineRole", "s3:DeleteObject", &format!("{RELEASES}/release.zip"), false);
    check_may(&told, "PipelineRole", "sns:Publish", TOPIC.1, true);
    check_may(&told, "PipelineRole", "sns:Publish", "arn:aws:sns:eu-west-1:123456789012:payroll", false);
    check_may(&quiet, "PipelineRole", "sns:Publish", TOPIC.1, false);
}

#[test]
fn an_upload_may_start_this_pipeline_alone() {
    let template = template(&[]);
    let pipeline = |name: &str| format!("arn:aws:codepipeline:eu-west-1:123456789012:{name}");
    check_may(&template, "EventsRole", "codepipeline:StartPipelineExecution", &pipeline("mzum-web"), true);
    check_may(&template, "EventsRole", "codepipeline:StartPipelineExecution", &pipeline("shop"), false);
    check_may(&template, "EventsRole", "codepipeline:StopPipelineExecution", &pipeline("mzum-web"), false);
}

#[test]
fn an_approver_may_approve_this_pipeline_and_see_it() {
    let template = template(&[]);
    let pipeline = |name: &str| format!("arn:aws:codepipeline:eu-west-1:123456789012:{name}");
    for (action, resource, expected) in [
        ("codepipeline:PutApprovalResult", "mzum-web/Release/QaApproval", true),
        ("codepipeline:PutApprovalResult", "shop/Release/QaApproval", false),
        ("codepipeline:GetPipelineState", "mzum-web", true),
        ("codepipeline:GetPipelineState", "shop", false),
        ("codepipeline:StopPipelineExecution", "mzum-web", false),
        ("codepipeline:StartPipelineExecution", "mzum-web", false),
        ("codepipeline:DisableStageTransition", "mzum-web/Release", false),
    ] {
        check_may(&template, "ApproverPolicy", action, &pipeline(resource), expected);
    }
}

#[test]
fn an_operator_may_look_stop_and_run_again() {
    let account = account(&[]);
    let pipeline = "arn:aws:codepipeline:eu-west-1:123456789012:mzum-web";
    let function = |name: &str| format!("arn:aws:lambda:eu-west-1:123456789012:function:tagship-{name}");
    for (action, resource, expected) in [
        ("codepipeline:StopPipelineExecution", pipeline, true),
        ("codepipeline:RetryStageExecution", &format!("{pipeline}/Release"), true),
        ("codepipeline:PutApprovalResult", &format!("{pipeline}/Release/QaApproval"), false),
        ("codepipeline:UpdatePipeline", pipeline, false),
        ("lambda:InvokeFunction", &function("route"), true),
        ("lambda:InvokeFunction", &function("cleanup"), true),
        ("lambda:InvokeFunction", &function("provision"), false),
        ("lambda:UpdateFunctionConfiguration", &function("provision"), false),
        ("s3:GetObject", "arn:aws:s3:::tagship-bucket/holds/MZUM_WEB_PRODUCT.json", true),
        ("s3:PutObject", "arn:aws:s3:::tagship-bucket/holds/MZUM_WEB_PRODUCT.json", false),
        ("sqs:ReceiveMessage", "arn:aws:sqs:eu-west-1:123456789012:tagship-Unhandled", false),
        ("elasticloadbalancing:ModifyRule", "*", false),
    ] {
        check_may(&account, "OperatorPolicy", action, resource, expected);
    }
    check_may_so(&account, "OperatorPolicy", "codepipeline:StopPipelineExecution", pipeline, &[], false);
}

#[test]
fn a_viewer_may_look_and_nothing_else() {
    let account = account(&[]);
    let pipeline = "arn:aws:codepipeline:eu-west-1:123456789012:mzum-web";
    let function = |name: &str| format!("arn:aws:lambda:eu-west-1:123456789012:function:tagship-{name}");
    for (action, resource, expected) in [
        ("codepipeline:GetPipelineState", pipeline.to_owned(), true),
        ("codepipeline:PutApprovalResult", format!("{pipeline}/Release/QaApproval"), false),
        ("codepipeline:StopPipelineExecution", pipeline.to_owned(), false),
        ("codepipeline:DisableStageTransition", format!("{pipeline}/Release"), false),
        ("lambda:GetFunctionConfiguration", function("provision"), true),
        ("lambda:GetFunctionConfiguration", function("route"), false),
        ("lambda:UpdateFunctionConfiguration", function("provision"), false),
        ("lambda:InvokeFunction", function("route"), false),
        ("ssm:GetParameter", "arn:aws:ssm:eu-west-1:123456789012:parameter/tagship/WEB".to_owned(), true),
        ("ssm:GetParameter", "arn:aws:ssm:eu-west-1:123456789012:parameter/prod/db/password".to_owned(), false),
        ("ec2:DescribeRouteTables", "*".to_owned(), true),
        ("ec2:TerminateInstances", "*".to_owned(), false),
        ("elasticloadbalancing:ModifyRule", "*".to_owned(), false),
    ] {
        check_may(&account, "ViewerPolicy", action, &resource, expected);
    }
}

#[test]
fn an_editor_may_change_settings_and_nothing_else() {
    let account = account(&[]);
    let provision = "arn:aws:lambda:eu-west-1:123456789012:function:tagship-provision";
    let parameter = |name: &str| format!("arn:aws:ssm:eu-west-1:123456789012:parameter{name}");
    for (action, resource, expected) in [
        ("lambda:UpdateFunctionConfiguration", provision.to_owned(), true),
        ("lambda:UpdateFunctionConfiguration", provision.replace("provision", "route"), false),
        ("lambda:UpdateFunctionCode", provision.to_owned(), false),
        ("lambda:InvokeFunction", provision.to_owned(), false),
        ("iam:PassRole", "arn:aws:iam::123456789012:role/tagship-CleanupRole".to_owned(), false),
        ("ssm:PutParameter", parameter("/tagship/MZUM_WEB_PRODUCT"), true),
        ("ssm:PutParameter", parameter("/prod/db/password"), false),
    ] {
        check_may(&account, "SettingsPolicy", action, &resource, expected);
    }
}

#[test]
fn provision_reads_parameters_of_tagship_and_those_that_ops_add() {
    let parameter = |name: &str| format!("arn:aws:ssm:eu-west-1:123456789012:parameter{name}");
    let public = "arn:aws:ssm:eu-west-1::parameter/aws/service/ami-amazon-linux-latest/al2023";
    let (plain, more) = (account(&[]), account(&[("MoreParameters", "/images/*")]));
    for (template, image) in [(&plain, false), (&more, true)] {
        check_may(template, "ProvisionRole", "ssm:GetParameter", &parameter("/tagship/MZUM_WEB_PRODUCT"), true);
        check_may(template, "ProvisionRole", "ssm:GetParameter", public, true);
        check_may(template, "ProvisionRole", "ssm:GetParameter", &parameter("/prod/db/password"), false);
        check_may(template, "ProvisionRole", "ssm:GetParameter", &parameter("/images/web"), image);
    }
}

#[test]
fn artifacts_are_read_in_the_expected_account_alone() {
    let mine = "123456789012";
    let buckets = [("ArtifactBuckets", "artifacts-*")];
    let theirs = [("ArtifactBuckets", "artifacts-*"), ("ArtifactAccount", "999999999999")];
    let releases = format!("{RELEASES}/mzum-web/App/x");
    let artifact = "arn:aws:s3:::artifacts-company/x.zip";
    for (parameters, resource, owner, expected) in [
        (&buckets[..], releases.as_str(), mine, true),
        (&buckets, &releases, "999999999999", false),
        (&buckets, artifact, mine, true),
        (&buckets, artifact, "999999999999", false),
        (&theirs, artifact, "999999999999", true),
        (&theirs, artifact, mine, false),
        (&theirs, &releases, mine, true),
    ] {
        let context = [("aws:ResourceAccount", owner)];
        check_may_so(&account(parameters), "DeployRole", "s3:GetObject", resource, &context, expected);
        let parameters: Vec<_> = parameters.iter().filter(|(key, _)| *key == "ArtifactAccount").copied().collect();
        let instance = service(&[&[("ArtifactBucket", "artifacts-company")], &parameters[..]].concat());
        check_may_so(&instance, "InstanceRole", "s3:GetObject", resource, &context, expected);
    }
}

#[test]
fn keys_boundaries_and_paths_of_ones_own() {
    const KEY: &str = "arn:aws:kms:eu-west-1:123456789012:key/k";
    const BOUNDARY: &str = "arn:aws:iam::123456789012:policy/boundary";
    let role = [("PermissionsBoundary", BOUNDARY), ("RolePath", "/ops/")];
    let keys = [("BucketKey", KEY), ("ArtifactKey", KEY), ("LogKey", KEY)];
    let account = account(&[&role[..], &keys].concat());
    let pipeline = template(&[&role[..], &[("BucketKey", KEY)]].concat());
    let service = service(&[("PermissionsBoundary", BOUNDARY), ("InstanceRolePath", "/ops/"), ("BucketKey", KEY)]);
    let mut roles = 0;
    for template in [&account, &pipeline, &service] {
        for (id, role) in template.resources("AWS::IAM::Role").expect("roles") {
            assert_eq!((&role["Path"], &role["PermissionsBoundary"]), (&json!("/ops/"), &json!(BOUNDARY)), "{id}");
            roles += 1;
        }
        for (id, bucket) in template.resources("AWS::S3::Bucket").expect("buckets") {
            let rule = &bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"][0];
            assert_eq!(rule["ServerSideEncryptionByDefault"]["KMSMasterKeyID"], KEY, "{id}");
        }
    }
    assert_eq!(roles, 4 + 3 + 1);
    for (id, group) in account.resources("AWS::Logs::LogGroup").expect("logs") {
        assert_eq!(group["KmsKeyId"], KEY, "{id}");
    }
    // What a boundary leaves of a policy is its own affair: here the policies alone.
    let (account, pipeline) = (super::account(&keys), template(&[("BucketKey", KEY)]));
    let service = super::service(&[("BucketKey", KEY)]);
    let by_s3 = [("kms:ViaService", "s3.eu-west-1.amazonaws.com")];
    for (template, policy, action) in [
        (&account, "RouteRole", "kms:GenerateDataKey"),
        (&account, "DeployRole", "kms:Decrypt"),
        (&account, "OperatorPolicy", "kms:Decrypt"),
        (&account, "ViewerPolicy", "kms:Decrypt"),
        (&pipeline, "PipelineRole", "kms:GenerateDataKey"),
        (&pipeline, "UploadPolicy", "kms:GenerateDataKey"),
        (&service, "InstanceRole", "kms:Decrypt"),
    ] {
        check_may_so(template, policy, action, KEY, &by_s3, true);
    }
    check_may_so(&account, "ProvisionRole", "kms:Decrypt", KEY, &[("kms:ViaService", "ec2.amazonaws.com")], false);
}

#[test]
fn what_is_called_otherwise_in_china_and_govcloud() {
    for (region, partition, console) in [
        ("eu-west-1", "aws", "console.aws.amazon.com"),
        ("cn-north-1", "aws-cn", "console.amazonaws.cn"),
        ("us-gov-west-1", "aws-us-gov", "console.amazonaws-us-gov.com"),
    ] {
        let account = read_in(region, ACCOUNT, "tagship", &[("Chat", "amazon-q")]);
        let given = [("PipelineName", "mzum-web"), ("ServiceRole", "MZUM_WEB_PRODUCT"), TOPIC];
        let pipeline = read_in(region, PIPELINE, "mzum-web", &given);
        let link = format!(".{console}/codesuite/");
        let mut links = 0;
        for template in [&account, &pipeline] {
            for rule in template.rules().expect("rules") {
                assert!(rule.arn.starts_with(&format!("arn:{partition}:events:{region}:")), "{}", rule.arn);
                for target in &rule.targets {
                    let sent = target.input.of(&json!({}), &rule);
                    links += usize::from(sent.contains(&link));
                    assert_eq!(sent.contains("/codesuite/"), sent.contains(&link), "{region}: {sent}");
                }
            }
        }
        assert_eq!(links, 4, "{region}");
        let role = format!("arn:{partition}:iam::123456789012:role/tagship/instance/web");
        let to = if partition == "aws-cn" { "ec2.amazonaws.com.cn" } else { "ec2.amazonaws.com" };
        check_may_so(&account, "ProvisionRole", "iam:PassRole", &role, &[("iam:PassedToService", to)], true);
        let passed = [("iam:PassedToService", "ecs-tasks.amazonaws.com")];
        check_may_so(&account, "ProvisionRole", "iam:PassRole", &role, &passed, false);
    }
}

#[test]
fn an_instance_may_read_its_releases_alone() {
    let (plain, tagged) = (service(&[]), service(&[("ArtifactBucket", "company-artifacts")]));
    for action in ["s3:GetObject", "s3:GetObjectVersion"] {
        check_may(&plain, "InstanceRole", action, &format!("{RELEASES}/mzum-web/App/x"), true);
        for other in ["tagship-123456789012", "shop-releases-123456789012-eu-west-1", "company-artifacts"] {
            check_may(&plain, "InstanceRole", action, &format!("arn:aws:s3:::{other}/x"), false);
        }
        check_may(&tagged, "InstanceRole", action, "arn:aws:s3:::company-artifacts/built/x.zip", true);
    }
    check_may(&plain, "InstanceRole", "s3:PutObject", &format!("{RELEASES}/release.zip"), false);
    check_may(&plain, "InstanceRole", "s3:GetObject", "arn:aws:s3:::aws-codedeploy-eu-west-1/latest/install", true);
}
