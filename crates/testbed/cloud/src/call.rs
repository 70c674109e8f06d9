//! One AWS request and its reply: who calls what, read from the signature's scope.

mod operation;

use bytes::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, StatusCode};

/// One AWS request, whole.
#[derive(Clone, Debug)]
pub struct Call {
    /// The access key's name, e.g. `provision`; `anonymous` if the request is unsigned.
    pub caller: String,
    /// The signing name, e.g. `elasticloadbalancing`.
    pub service: String,
    /// The API's name, e.g. `PutObject`.
    pub operation: String,
    /// HTTP method.
    pub method: Method,
    /// The path, still encoded.
    pub path: String,
    /// The query, still encoded, without `?`.
    pub query: String,
    /// The request's headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Call {
    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        operation::header(&self.headers, name)
    }

    pub(super) fn new(parts: &hyper::http::request::Parts, body: Bytes) -> Self {
        let query = parts.uri.query().unwrap_or_default();
        let (caller, service) =
            scope(&parts.headers, query).unwrap_or_else(|| ("anonymous".to_owned(), "s3".to_owned())); // S3 alone takes unsigned requests
        let path = parts.uri.path();
        let operation = operation::name(&service, &parts.method, path, query, &parts.headers, &body);
        Self {
            caller,
            service,
            operation,
            method: parts.method.clone(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: parts.headers.clone(),
            body,
        }
    }

    /// Whether it changes something, by its operation's name.
    pub fn changes(&self) -> bool {
        operation::changes(&self.operation)
    }

    /// Bucket and key of an S3 request for an object.
    pub fn bucket_and_key(&self) -> Option<(String, String)> {
        let (bucket, key) = self.path.strip_prefix('/')?.split_once('/')?;
        let key = percent_encoding::percent_decode_str(key).decode_utf8().ok()?;
        (!key.is_empty()).then(|| (bucket.to_owned(), key.into_owned()))
    }
}

/// Caller and service of `Credential=KEY/DATE/REGION/SERVICE/aws4_request`, in the header or, for a
/// presigned request, in the query.
fn scope(headers: &HeaderMap, query: &str) -> Option<(String, String)> {
    let signed = operation::header(headers, AUTHORIZATION.as_str())
        .and_then(|value| value.split_once("Credential=").map(|(_, scope)| scope));
    let scope = match signed {
        Some(scope) => scope.to_owned(),
        None => operation::parameter(query, "X-Amz-Credential")?.replace("%2F", "/"),
    };
    let mut parts = scope.split(',').next()?.split('/');
    let caller = parts.next()?;
    let service = parts.nth(2)?;
    Some((caller.to_owned(), service.to_owned()))
}

/// The reply to a call.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Reply {
    pub(super) fn new(status: StatusCode, kind: HeaderValue, body: Bytes) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, kind);
        if let Ok(id) = HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()) {
            headers.insert("x-amzn-requestid", id);
        }
        Self { status, headers, body }
    }

    /// A header as text, e.g. `x-amz-version-id`.
    pub fn header(&self, name: &str) -> Option<&str> {
        operation::header(&self.headers, name)
    }
}
