//! How a function starts: the time until it asks the Runtime API for work, and the memory that it has then.

use super::Error;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tagship_cloud::moto;
use tagship_cloud::setup::REGION;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::time::timeout;

/// How often each is started, after once that isn't counted: the page cache is warm then, as is Python's bytecode.
pub(super) const STARTS: usize = 21;

/// A process that never asks is given up.
const PATIENCE: Duration = Duration::from_secs(20);

/// One start, or the median of many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    /// Until it asks for work.
    pub(super) took: Duration,
    /// Resident bytes then.
    pub(super) idle: u64,
}

/// Both, started alternately.
#[derive(Clone, Copy, Debug)]
pub(super) struct Starts {
    pub(super) ours: Start,
    pub(super) pythons: Start,
}

/// The SDK clients that a function is linked with, by boto3's names. Ours are made when they are first used, boto3's at
/// start-up, as Python functions do: making a client takes long there, and no event should wait for it.
fn clients(function: &str) -> &'static [&'static str] {
    match function {
        "provision" => {
            &["s3", "ec2", "elbv2", "resourcegroupstaggingapi", "route53", "ssm", "codepipeline", "events", "sns"]
        }
        "deploy" => &["s3", "ec2", "elbv2", "resourcegroupstaggingapi", "codedeploy", "codepipeline", "events", "sns"],
        "route" => &["s3", "ec2", "elbv2", "resourcegroupstaggingapi", "route53", "codepipeline", "events", "sns"],
        _ => &[
            "s3",
            "ec2",
            "elbv2",
            "resourcegroupstaggingapi",
            "route53",
            "codedeploy",
            "codepipeline",
            "events",
            "sns",
        ],
    }
}

/// Starts the function and a Python function with the same clients in turn.
pub(super) async fn compare(functions: &Path, function: &str) -> Result<Starts, Error> {
    let python = moto::python()?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/boto3_function.py");
    let (mut ours, mut pythons) = (Vec::new(), Vec::new());
    for _ in 0..=STARTS {
        ours.push(start(function, Command::new(functions.join(function))).await?);
        let mut command = Command::new(&python);
        command.arg(script).args(clients(function));
        pythons.push(start("Python", command).await?);
    }
    Ok(Starts { ours: median(&ours[1..]), pythons: median(&pythons[1..]) })
}

fn median(starts: &[Start]) -> Start {
    let mut took: Vec<Duration> = starts.iter().map(|start| start.took).collect();
    let mut idle: Vec<u64> = starts.iter().map(|start| start.idle).collect();
    took.sort();
    idle.sort();
    Start { took: took[took.len() / 2], idle: idle[idle.len() / 2] }
}

/// Starts a process with what Lambda gives it, and ends it when it has asked for work.
async fn start(name: &str, mut command: Command) -> Result<Start, Error> {
    let wrong = |why: String| Error::Start(name.to_owned(), why);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|error| wrong(error.to_string()))?;
    let address = listener.local_addr().map_err(|error| wrong(error.to_string()))?;
    command
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
        .env("AWS_LAMBDA_FUNCTION_NAME", name)
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .env("AWS_REGION", REGION)
        .env("AWS_DEFAULT_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", name)
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .env("AWS_SESSION_TOKEN", "local")
        .env("LANG", "en_US.UTF-8")
        .env("TAGSHIP_BUCKET", "tagship")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true);
    let began = Instant::now();
    let mut process = command.spawn().map_err(|error| wrong(error.to_string()))?;
    let asked = tokio::select! {
        asked = timeout(PATIENCE, first_line(&listener)) => asked,
        ended = process.wait() => return Err(wrong(format!("it ended: {ended:?}"))),
    };
    let took = began.elapsed();
    let asked = asked.map_err(|_| wrong(format!("nothing came within {PATIENCE:?}")))?;
    // The connection stays open until the process is killed: it waits, as on Lambda.
    let (line, _connection) = asked.map_err(|error| wrong(error.to_string()))?;
    if !line.starts_with("GET /2018-06-01/runtime/invocation/next ") {
        return Err(wrong(format!("it asked for {line:?}")));
    }
    let id = process.id().ok_or_else(|| wrong("it has ended".to_owned()))?;
    let idle = memory(id, "VmRSS")?;
    process.kill().await.map_err(|error| wrong(error.to_string()))?;
    Ok(Start { took, idle })
}

/// The first line of the first request, and its connection.
async fn first_line(listener: &TcpListener) -> std::io::Result<(String, TcpStream)> {
    let (mut stream, _) = listener.accept().await?;
    let mut request = Vec::new();
    while !request.contains(&b'\n') {
        if stream.read_buf(&mut request).await? == 0 {
            break;
        }
    }
    let text = String::from_utf8_lossy(&request);
    Ok((text.lines().next().unwrap_or_default().to_owned(), stream))
}

/// A figure of `/proc/<id>/status`, in bytes: `VmRSS` is what is resident now, `VmHWM` the most that ever was.
pub(super) fn memory(id: u32, figure: &str) -> Result<u64, Error> {
    let path = format!("/proc/{id}/status");
    let text = std::fs::read_to_string(&path).map_err(|error| Error::File(path.clone().into(), error))?;
    let line = text.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let missing = || Error::File(path.into(), std::io::Error::other(format!("no {figure}")));
    Ok(kibibytes.ok_or_else(missing)? * 1024)
}
