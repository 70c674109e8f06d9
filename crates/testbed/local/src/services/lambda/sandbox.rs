//! One process of a function, and the Runtime API that it asks for work.

use super::Entry;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Response, StatusCode};
use axum::routing::{get, post};
use bytes::Bytes;
use jiff::Timestamp;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fs::OpenOptions;
use std::io;
use std::net::Ipv4Addr;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{Notify, oneshot};

/// One invocation on its way to a process.
#[derive(Debug)]
pub(super) struct Invocation {
    /// The request's id.
    pub(super) id: String,
    /// The event.
    pub(super) payload: Bytes,
    /// Told when the process has taken it.
    pub(super) delivered: oneshot::Sender<()>,
    /// Told the response, or the error that the function reports.
    pub(super) reply: oneshot::Sender<Result<Bytes, Bytes>>,
}

/// One process of a function.
#[derive(Debug)]
pub(super) struct Sandbox {
    /// The configuration that it was started with.
    pub(super) generation: u64,
    entry: Weak<Entry>,
    group: Pid,
    slot: Mutex<Slot>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Slot {
    exited: bool,
    waiting: Option<Invocation>,
    current: Option<(String, oneshot::Sender<Result<Bytes, Bytes>>)>,
}

impl Sandbox {
    /// Starts a process of the function, with just what Lambda gives it.
    pub(super) async fn start(entry: &Arc<Entry>) -> io::Result<Arc<Self>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (function, generation) = entry.function();
        let log = OpenOptions::new().create(true).append(true).open(&entry.log)?;
        let mut child = Command::new(&function.program)
            .args(&function.arguments)
            .env_clear()
            .envs(entry.environment())
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .envs(&function.environment)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", function.program.display())))?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let group = Pid::from_raw(pid.ok_or_else(|| io::Error::other("no process id"))?);
        let sandbox = Arc::new(Self {
            generation,
            entry: Arc::downgrade(entry),
            group,
            slot: Mutex::default(),
            arrived: Notify::new(),
        });
        let runtime = "/2018-06-01/runtime";
        let router = Router::new()
            .route(&format!("{runtime}/invocation/next"), get(next))
            .route(&format!("{runtime}/invocation/{{id}}/response"), post(response))
            .route(&format!("{runtime}/invocation/{{id}}/error"), post(error))
            .route(&format!("{runtime}/init/error"), post(init_error))
            .with_state(Arc::clone(&sandbox));
        let watched = Arc::clone(&sandbox);
        entry.spawn(async move {
            let _killed = KillOnDrop(watched.group);
            tokio::select! {
                () = exited(&mut child, &watched) => {}
                _ = axum::serve(listener, router).into_future() => {}
            }
        });
        Ok(sandbox)
    }

    /// Gives the process work; gives it back if the process is gone.
    pub(super) fn give(&self, invocation: Invocation) -> Result<(), Invocation> {
        let mut slot = self.slot();
        if slot.exited {
            return Err(invocation);
        }
        slot.waiting = Some(invocation);
        self.arrived.notify_one();
        Ok(())
    }

    /// The process's id.
    pub(super) fn process(&self) -> u32 {
        // It leads its group, and an id is positive.
        self.group.as_raw().unsigned_abs()
    }

    /// Kills the process and all that it started.
    pub(super) fn kill(&self) {
        if !self.slot().exited {
            // It may have ended by itself meanwhile; then there is no such group.
            let _ = killpg(self.group, Signal::SIGKILL);
        }
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self, id: &str, result: Result<Bytes, Bytes>) -> StatusCode {
        match self.slot().current.take_if(|(current, _)| current == id) {
            Some((_, reply)) => {
                // Whoever asked may have gone away.
                let _ = reply.send(result);
                StatusCode::ACCEPTED
            }
            None => StatusCode::BAD_REQUEST,
        }
    }
}

struct KillOnDrop(Pid);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let _ = killpg(self.0, Signal::SIGKILL);
    }
}

/// Waits until the process is gone, and with it whatever it was to do.
async fn exited(child: &mut Child, sandbox: &Sandbox) {
    let status = child.wait().await;
    tracing::debug!(?status, "a function's process ended");
    let mut slot = sandbox.slot();
    *slot = Slot { exited: true, ..Slot::default() };
}

async fn next(State(sandbox): State<Arc<Sandbox>>) -> Response<Body> {
    let mut idle = false;
    let invocation = loop {
        if let Some(invocation) = sandbox.slot().waiting.take() {
            break invocation;
        }
        if let Some(entry) = sandbox.entry.upgrade()
            && !std::mem::replace(&mut idle, true)
        {
            entry.free(&sandbox);
        }
        sandbox.arrived.notified().await;
    };
    let Some(entry) = sandbox.entry.upgrade() else {
        return status(StatusCode::GONE);
    };
    let (function, _) = entry.function();
    let deadline = Timestamp::now() + function.timeout;
    let response = Response::builder()
        .header("content-type", "application/json")
        .header("lambda-runtime-aws-request-id", &invocation.id)
        .header("lambda-runtime-deadline-ms", deadline.as_millisecond())
        .header("lambda-runtime-invoked-function-arn", &entry.arn)
        .header("lambda-runtime-trace-id", "Root=1-00000000-000000000000000000000000;Sampled=0")
        .body(Body::from(invocation.payload));
    sandbox.slot().current = Some((invocation.id, invocation.reply));
    let _ = invocation.delivered.send(());
    response.unwrap_or_else(|_| status(StatusCode::INTERNAL_SERVER_ERROR))
}

async fn response(State(sandbox): State<Arc<Sandbox>>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    sandbox.finish(&id, Ok(body))
}

async fn error(State(sandbox): State<Arc<Sandbox>>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    sandbox.finish(&id, Err(body))
}

async fn init_error(State(sandbox): State<Arc<Sandbox>>, body: Bytes) -> StatusCode {
    let mut slot = sandbox.slot();
    if let Some(invocation) = slot.waiting.take() {
        let _ = invocation.delivered.send(());
        let _ = invocation.reply.send(Err(body));
    }
    StatusCode::ACCEPTED
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
