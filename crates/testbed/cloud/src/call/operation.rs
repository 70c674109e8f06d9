//! Which AWS API a request calls: the names that botocore and IAM use, for every protocol.

use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderMap};

/// The operation's API name, e.g. `RunInstances` or `PutObject`.
pub(super) fn name(
    service: &str,
    method: &Method,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> String {
    if let Some(target) = header(headers, "x-amz-target") {
        return target.rsplit('.').next().unwrap_or(target).to_owned();
    }
    let form = header(headers, CONTENT_TYPE.as_str())
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if form
        && let Ok(form) = std::str::from_utf8(body)
        && let Some(action) = parameter(form, "Action")
    {
        return action.to_owned();
    }
    let name = match service {
        "s3" => s3(method, path, query, headers),
        "route53" => route53(method, path),
        "lambda" => lambda(method, path),
        _ => path.rsplit_once("/operation/").map_or("", |(_, name)| name), // RPC v2 CBOR
    };
    if name.is_empty() { format!("{method} {path}") } else { name.to_owned() }
}

/// Whether the operation changes something, by its name.
pub(super) fn changes(name: &str) -> bool {
    !["Describe", "List", "Get", "BatchGet", "Head"].iter().any(|prefix| name.starts_with(prefix))
}

/// The value of `name` in a query string or form, still encoded; a flag has the value "".
pub(super) fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    })
}

/// A header's value as text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn s3(method: &Method, path: &str, query: &str, headers: &HeaderMap) -> &'static str {
    let has = |name| parameter(query, name).is_some();
    let (bucket, key) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
    let copies = headers.contains_key("x-amz-copy-source");
    match (method.as_str(), bucket.trim_matches('/').is_empty(), key.is_empty()) {
        ("GET", true, _) => "ListBuckets",
        ("GET", _, true) if has("list-type") => "ListObjectsV2",
        ("GET", _, true) if has("versions") => "ListObjectVersions",
        ("GET", _, true) if has("versioning") => "GetBucketVersioning",
        ("GET", _, true) if has("location") => "GetBucketLocation",
        ("GET", _, true) if has("tagging") => "GetBucketTagging",
        ("GET", _, true) if has("encryption") => "GetBucketEncryption",
        ("GET", _, true) if has("policy") => "GetBucketPolicy",
        ("GET", _, true) if has("uploads") => "ListMultipartUploads",
        ("GET", _, true) => "ListObjects",
        ("HEAD", _, true) => "HeadBucket",
        ("PUT", _, true) if has("versioning") => "PutBucketVersioning",
        ("PUT", _, true) if has("tagging") => "PutBucketTagging",
        ("PUT", _, true) if has("encryption") => "PutBucketEncryption",
        ("PUT", _, true) if has("policy") => "PutBucketPolicy",
        ("PUT", _, true) if has("publicAccessBlock") => "PutPublicAccessBlock",
        ("PUT", _, true) if has("notification") => "PutBucketNotificationConfiguration",
        ("PUT", _, true) if has("lifecycle") => "PutBucketLifecycleConfiguration",
        ("PUT", _, true) => "CreateBucket",
        ("DELETE", _, true) => "DeleteBucket",
        ("POST", _, true) if has("delete") => "DeleteObjects",
        ("GET", _, _) if has("tagging") => "GetObjectTagging",
        ("GET", _, _) if has("attributes") => "GetObjectAttributes",
        ("GET", _, _) if has("uploadId") => "ListParts",
        ("GET", _, _) => "GetObject",
        ("HEAD", _, _) => "HeadObject",
        ("PUT", _, _) if has("tagging") => "PutObjectTagging",
        ("PUT", _, _) if has("partNumber") && copies => "UploadPartCopy",
        ("PUT", _, _) if has("partNumber") => "UploadPart",
        ("PUT", _, _) if copies => "CopyObject",
        ("PUT", _, _) => "PutObject",
        ("DELETE", _, _) if has("uploadId") => "AbortMultipartUpload",
        ("DELETE", _, _) if has("tagging") => "DeleteObjectTagging",
        ("DELETE", _, _) => "DeleteObject",
        ("POST", _, _) if has("uploads") => "CreateMultipartUpload",
        ("POST", _, _) if has("uploadId") => "CompleteMultipartUpload",
        _ => "",
    }
}

fn route53(method: &Method, path: &str) -> &'static str {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).skip(1).collect();
    match (method.as_str(), parts.as_slice()) {
        ("GET", ["hostedzonesbyname"]) => "ListHostedZonesByName",
        ("GET", ["hostedzonesbyvpc"]) => "ListHostedZonesByVPC",
        ("GET", ["hostedzone"]) => "ListHostedZones",
        ("POST", ["hostedzone"]) => "CreateHostedZone",
        ("GET", ["hostedzone", _]) => "GetHostedZone",
        ("DELETE", ["hostedzone", _]) => "DeleteHostedZone",
        ("GET", ["hostedzone", _, "rrset"]) => "ListResourceRecordSets",
        ("POST", ["hostedzone", _, "rrset"]) => "ChangeResourceRecordSets",
        ("GET", ["change", _]) => "GetChange",
        ("GET", ["tags", ..]) => "ListTagsForResource",
        ("POST", ["tags", ..]) => "ChangeTagsForResource",
        _ => "",
    }
}

fn lambda(method: &Method, path: &str) -> &'static str {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).skip(1).collect();
    match (method.as_str(), parts.as_slice()) {
        ("POST", ["functions", _, "invocations"]) => "Invoke",
        ("GET", ["functions"]) => "ListFunctions",
        ("GET", ["functions", _]) => "GetFunction",
        ("GET", ["functions", _, "configuration"]) => "GetFunctionConfiguration",
        ("PUT", ["functions", _, "configuration"]) => "UpdateFunctionConfiguration",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(service: &str, method: &str, uri: &str, headers: &[(&str, &str)], body: &str, expected: &str) {
        let map = headers
            .iter()
            .map(|(name, value)| {
                let name = hyper::header::HeaderName::from_bytes(name.as_bytes()).expect("a header");
                (name, value.parse().expect("a value"))
            })
            .collect();
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let method = method.parse().expect("a method");
        assert_eq!(name(service, &method, path, query, &map, body.as_bytes()), expected);
    }

    #[test]
    fn every_protocol_names_its_operation() {
        let form = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
        check("ec2", "POST", "/", &form, "Version=2016-11-15&Action=RunInstances", "RunInstances");
        check("events", "POST", "/", &[("x-amz-target", "AWSEvents.PutEvents")], "{}", "PutEvents");
        check("s3", "GET", "/", &[], "", "ListBuckets");
        check("s3", "PUT", "/bucket", &[], "", "CreateBucket");
        check("s3", "GET", "/bucket?list-type=2&prefix=a%2Fb", &[], "", "ListObjectsV2");
        check("s3", "GET", "/bucket/?versions", &[], "", "ListObjectVersions");
        check("s3", "PUT", "/bucket/a/b.zip?x-id=PutObject", &[], "", "PutObject");
        check("s3", "PUT", "/bucket/b", &[("x-amz-copy-source", "c/d")], "", "CopyObject");
        check("s3", "PUT", "/bucket/b?partNumber=1&uploadId=u", &[], "", "UploadPart");
        check("s3", "POST", "/bucket/b?uploadId=u", &[], "", "CompleteMultipartUpload");
        check("s3", "HEAD", "/bucket/b", &[], "", "HeadObject");
        check("s3", "GET", "/bucket/b?tagging", &[], "", "GetObjectTagging");
        check("s3", "DELETE", "/bucket/b", &[], "", "DeleteObject");
        check("route53", "POST", "/2013-04-01/hostedzone/Z1/rrset/", &[], "", "ChangeResourceRecordSets");
        check("route53", "GET", "/2013-04-01/hostedzonesbyname?dnsname=a", &[], "", "ListHostedZonesByName");
        check("lambda", "POST", "/2015-03-31/functions/route/invocations", &[], "", "Invoke");
        check("lambda", "PATCH", "/2015-03-31/what", &[], "", "PATCH /2015-03-31/what");
    }
}
