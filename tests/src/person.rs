//! A person at a terminal: the AWS CLI, a shell, and a resolver.

use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Command, Output};
use std::time::Duration;
use tagship_local::{moto, setup};

/// Runs the AWS CLI as ops, `arguments` split at spaces; answers what it prints, null if nothing.
///
/// # Panics
///
/// If it fails: its own words are in the message.
pub fn aws(gateway_url: &str, arguments: &str) -> Value {
    aws_with(gateway_url, &arguments.split_whitespace().collect::<Vec<_>>())
}

/// The same with arguments that hold spaces.
pub fn aws_with(gateway_url: &str, arguments: &[&str]) -> Value {
    let python = moto::python().unwrap_or_else(|error| panic!("{error}"));
    let output = Command::new(python.with_file_name("aws"))
        .args(arguments)
        .args(["--output", "json"])
        .envs(setup::ops_environment(gateway_url))
        .output()
        .expect("the AWS CLI runs");
    let said = succeeded(&format!("aws {}", arguments.join(" ")), &output);
    serde_json::from_str(&said).unwrap_or(Value::Null)
}

/// What a command printed.
///
/// # Panics
///
/// If it failed: its own words are in the message.
pub fn succeeded(command: &str, output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command}: {}\n{said}{}", output.status, String::from_utf8_lossy(&output.stderr));
    said
}

/// The addresses of a name, sorted, as a resolver over UDP finds them; none if there is no such name.
pub fn lookup(server: SocketAddr, name: &str) -> Vec<Ipv4Addr> {
    const HEADER: usize = 12;
    let mut question = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]; // id 7, recursion desired, one question
    for label in name.split('.') {
        question.push(u8::try_from(label.len()).expect("a label of at most 63 bytes"));
        question.extend(label.as_bytes());
    }
    question.extend([0, 0, 1, 0, 1]); // the root; type A; class IN
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a time-out");
    socket.send_to(&question, server).expect("sent");
    let mut answer = [0; 4_096];
    let length = socket.recv(&mut answer).unwrap_or_else(|error| panic!("{name}: no answer: {error}"));
    let (answer, asked) = (&answer[..length], question.len());
    assert_eq!((answer[..2].to_vec(), &answer[HEADER..asked]), (vec![0, 7], &question[HEADER..]), "another's answer");
    let records = usize::from(u16::from_be_bytes([answer[6], answer[7]]));
    let mut found: Vec<Ipv4Addr> = Vec::new();
    let mut at = asked;
    for _ in 0..records {
        // A compressed name has two bytes, one that is written out ends with an empty label.
        while answer[at] != 0 && answer[at] < 0xc0 {
            at += 1 + usize::from(answer[at]);
        }
        at += if answer[at] == 0 { 1 } else { 2 };
        let fixed = &answer[at..at + 10]; // type, class, time to live, length
        let size = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        let data = &answer[at + 10..at + 10 + size];
        if let (&[0, 1], Ok(octets)) = (&fixed[..2], <[u8; 4]>::try_from(data)) {
            found.push(octets.into());
        }
        at += 10 + size;
    }
    found.sort_unstable();
    found
}
