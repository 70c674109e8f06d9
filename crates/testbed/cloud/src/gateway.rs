//! The one address of all AWS services: knows who calls what, records and counts it, injects faults,
//! refuses what the caller's role doesn't allow, answers for the services registered here, and passes everything else
//! on to the emulator.

mod fault;
mod record;

pub use crate::call::{Call, Reply};
pub use fault::{Effect, Fault, FaultId, Faults, When};
pub use record::{CallKey, RawRequest, Record, Recorder};

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use jiff::Timestamp;
use tagship_emulator::policy;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::iam::{Denied, Iam};
use crate::service::{Service, ServiceError};

/// Headers between two hops only; they are made anew for the next one.
const HOP: [HeaderName; 3] = [CONNECTION, TRANSFER_ENCODING, EXPECT];

/// What follows a call, and is awaited before its caller hears of it.
pub type Following = Pin<Box<dyn Future<Output = ()> + Send>>;

type Hook = Arc<dyn Fn(&Call, &Reply) -> Option<Following> + Send + Sync>;

/// The gateway. It stops when this is dropped.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    emulator: SocketAddr,
    http: Client<HttpConnector, Full<Bytes>>,
    services: RwLock<HashMap<String, Arc<dyn Service>>>,
    hooks: RwLock<Vec<(String, String, Hook)>>,
    iam: RwLock<Option<Arc<Iam>>>,
    recorder: Recorder,
    faults: Faults,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("emulator", &self.emulator).finish_non_exhaustive()
    }
}

impl Gateway {
    /// Listens on a free port of 127.0.0.1, in front of the emulator.
    pub async fn start(emulator: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            emulator,
            http: Client::builder(TokioExecutor::new()).build_http(),
            services: RwLock::default(),
            hooks: RwLock::default(),
            iam: RwLock::default(),
            recorder: Recorder::default(),
            faults: Faults::default(),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What `AWS_ENDPOINT_URL` has to be.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Has `service` answered here from now on, by its signing name (`codepipeline`, `codedeploy`,
    /// `events`, `lambda`).
    ///
    /// A REST call is given as `METHOD /path`, with Lambda's invocation type as its query
    /// (`?InvocationType=Event`, answered with 202); an error of status 200 is a function error: its
    /// code becomes `X-Amz-Function-Error`, its message the payload.
    pub fn serve(&self, name: &str, service: Arc<dyn Service>) {
        let mut services = self.shared.services.write().unwrap_or_else(PoisonError::into_inner);
        services.insert(name.to_owned(), service);
    }

    /// Has `hook` called after each call of that operation that succeeded, before its caller hears
    /// of it.
    pub fn on_success(&self, service: &str, operation: &str, hook: impl Fn(&Call, &Reply) + Send + Sync + 'static) {
        self.hook(service, operation, move |call, reply| {
            hook(call, reply);
            None
        });
    }

    /// The same for a hook that itself takes time.
    pub fn on_success_await(
        &self,
        service: &str,
        operation: &str,
        hook: impl Fn(&Call, &Reply) -> Following + Send + Sync + 'static,
    ) {
        self.hook(service, operation, move |call, reply| Some(hook(call, reply)));
    }

    fn hook(
        &self,
        service: &str,
        operation: &str,
        hook: impl Fn(&Call, &Reply) -> Option<Following> + Send + Sync + 'static,
    ) {
        let mut hooks = self.shared.hooks.write().unwrap_or_else(PoisonError::into_inner);
        hooks.push((service.to_owned(), operation.to_owned(), Arc::new(hook)));
    }

    /// Has every call of a caller with a role held against it from now on.
    pub fn guard(&self, iam: Iam) {
        *self.shared.iam.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(iam));
    }

    /// What was called.
    pub fn recorder(&self) -> &Recorder {
        &self.shared.recorder
    }

    /// The faults in force.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new(); // dropped with this task, and the connections with it
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "gateway: no connection");
                    continue;
                }
            },
            Some(_) = connections.join_next() => continue,
        };
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = hyper::service::service_fn(|request| answer(Arc::clone(&shared), request));
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "gateway: connection ended");
            }
        });
    }
}

/// Why a connection is closed without a reply.
#[derive(Debug, thiserror::Error)]
enum Closed {
    #[error("the request broke off: {0}")]
    Request(#[from] hyper::Error),
    #[error("a fault took the reply")]
    Lost,
    #[error("the call's task: {0}")]
    Task(#[from] tokio::task::JoinError),
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Closed> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let call = Call::new(&parts, body);
    // A task of its own: a caller that dies half-way does not undo its call, on AWS or here.
    let reply = tokio::spawn(async move { shared.carry_out(call).await }).await?;
    let reply = reply.ok_or(Closed::Lost)?;
    let mut response = Response::new(Full::new(reply.body));
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    Ok(response)
}

impl Shared {
    /// The reply, or `None` if a fault took it.
    async fn carry_out(&self, call: Call) -> Option<Reply> {
        let at = Timestamp::now();
        let mut refused = None;
        let mut lost = false;
        for effect in self.faults.meet(&call) {
            match effect {
                Effect::Delay(time) => tokio::time::sleep(time).await,
                Effect::LoseReply => lost = true,
                Effect::Error { status, code, message } => {
                    refused.get_or_insert_with(|| fault::refusal(&call, status, &code, &message));
                }
            }
        }
        let injected = refused.is_some();
        let (reply, requests) = match refused {
            Some(reply) => (reply, Vec::new()),
            None => self.authorise(&call).await,
        };
        if reply.status.is_success() && !injected {
            let hooks: Vec<Hook> = {
                let hooks = self.hooks.read().unwrap_or_else(PoisonError::into_inner);
                let wanted = hooks
                    .iter()
                    .filter(|(service, operation, _)| *service == call.service && *operation == call.operation);
                wanted.map(|(.., hook)| Arc::clone(hook)).collect()
            };
            for hook in hooks {
                if let Some(following) = hook(&call, &reply) {
                    following.await;
                }
            }
        }
        self.recorder.add(Record {
            at,
            status: (!lost).then(|| reply.status.as_u16()),
            changing: call.changes(),
            injected,
            requests,
            request: RawRequest::of(&call),
            caller: call.caller,
            service: call.service,
            operation: call.operation,
        });
        (!lost).then_some(reply)
    }

    /// The reply, and what IAM was asked before it.
    async fn authorise(&self, call: &Call) -> (Reply, Vec<policy::Request>) {
        let iam = self.iam.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(iam) = iam.filter(|iam| iam.guards(&call.caller)) else {
            return (self.pass(call).await, Vec::new());
        };
        let refusal = |Denied { status, code, message }| fault::refusal(call, status, code, &message);
        let codedeploy = self.service("codedeploy");
        let mut requests = iam.requests(call, codedeploy.as_deref()).await;
        if let Some(denied) = iam.denied(call, &requests) {
            return (refusal(denied), requests);
        }
        let reply = self.pass(call).await;
        requests.extend(iam.miss(call, reply.status));
        let reply = iam.denied(call, &requests).map(refusal).unwrap_or(reply);
        (reply, requests)
    }

    fn service(&self, name: &str) -> Option<Arc<dyn Service>> {
        self.services.read().unwrap_or_else(PoisonError::into_inner).get(name).map(Arc::clone)
    }

    async fn pass(&self, call: &Call) -> Reply {
        match self.service(&call.service) {
            Some(service) => serve(&*service, call).await,
            None => self.forward(call).await.unwrap_or_else(|error| {
                fault::refusal(call, 503, "ServiceUnavailable", &format!("the emulator: {error}"))
            }),
        }
    }

    /// Passes a call on to the emulator as it came.
    async fn forward(&self, call: &Call) -> Result<Reply, Box<dyn std::error::Error + Send + Sync>> {
        let uri = Uri::builder()
            .scheme("http")
            .authority(self.emulator.to_string())
            .path_and_query(if call.query.is_empty() {
                call.path.clone()
            } else {
                format!("{}?{}", call.path, call.query)
            })
            .build()?;
        let mut request = Request::new(Full::new(call.body.clone()));
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = end_to_end(&call.headers);
        if !call.body.is_empty() {
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(call.body.len()));
        }
        let (parts, body) = self.http.request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        let mut headers = end_to_end(&parts.headers);
        let keeps_length = call.method == Method::HEAD || parts.status == StatusCode::NOT_MODIFIED;
        if !keeps_length {
            headers.remove(CONTENT_LENGTH); // hyper writes the body's own
        }
        Ok(Reply { status: parts.status, headers, body })
    }
}

fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in HOP {
        headers.remove(name);
    }
    headers
}

/// Has a service of ours answer: JSON 1.1, or REST with a JSON body.
async fn serve(service: &dyn Service, call: &Call) -> Reply {
    let rest = !call.headers.contains_key("x-amz-target");
    let event = call.header("x-amz-invocation-type");
    let operation = match (rest, event) {
        (false, _) => call.operation.clone(),
        (true, None) => format!("{} {}", call.method, call.path),
        (true, Some(kind)) => format!("{} {}?InvocationType={kind}", call.method, call.path),
    };
    let body = if call.body.is_empty() {
        serde_json::Value::Null
    } else {
        match serde_json::from_slice(&call.body) {
            Ok(body) => body,
            Err(error) => {
                return fault::refusal(call, 400, "SerializationException", &error.to_string());
            }
        }
    };
    let kind = HeaderValue::from_static(if rest { "application/json" } else { "application/x-amz-json-1.1" });
    match service.call(&call.caller, &operation, body).await {
        Ok(_) if event == Some("Event") => Reply::new(StatusCode::ACCEPTED, kind, Bytes::new()),
        Ok(serde_json::Value::Null) if !rest => Reply::new(StatusCode::OK, kind, Bytes::from_static(b"{}")),
        Ok(answer) => Reply::new(StatusCode::OK, kind, Bytes::from(answer.to_string())),
        Err(ServiceError { status: 200, code, message }) => {
            let mut reply = Reply::new(StatusCode::OK, kind, Bytes::from(message));
            if let Ok(code) = HeaderValue::from_str(&code) {
                reply.headers.insert("x-amz-function-error", code);
            }
            reply
        }
        Err(error) => fault::refusal(call, error.status, &error.code, &error.message),
    }
}
