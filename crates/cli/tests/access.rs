//! Whose credentials the command uses, and what it says where there are none.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};

const CONFIG: &str =
    "[profile ops]\nregion = eu-west-1\naws_access_key_id = OFPROFILE\naws_secret_access_key = secret\n";
const KEYS: [(&str, &str); 3] =
    [("AWS_ACCESS_KEY_ID", "OFENVIRONMENT"), ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_REGION", "us-east-1")];

fn tagship(words: &[&str], variables: &[(&str, &str)]) -> Output {
    let home = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(home.path().join(".aws")).expect("made");
    std::fs::write(home.path().join(".aws/config"), CONFIG).expect("written");
    Command::new(env!("CARGO_BIN_EXE_tagship"))
        .args(words)
        .env_clear()
        .env("HOME", home.path())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(variables.iter().copied())
        .output()
        .expect("it runs")
}

/// The signature's credential of the first request that it makes.
fn signed_by(words: &[&str], variables: &[(&str, &str)]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let heard = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a request");
        let mut request = Vec::new();
        let mut part = [0; 4_096];
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            let read = stream.read(&mut part).expect("a request");
            request.extend_from_slice(&part[..read]);
        }
        stream
            .write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
            .expect("answered");
        String::from_utf8_lossy(&request).into_owned()
    });
    let output = tagship(words, &[variables, &[("AWS_ENDPOINT_URL", url.as_str())]].concat());
    let request = heard.join().expect("heard");
    let credential = request.split("Credential=").nth(1).and_then(|rest| rest.split(',').next());
    let Some(credential) = credential else { panic!("{request}\n{output:?}") };
    let mut parts = credential.split('/');
    format!("{} in {}", parts.next().unwrap_or_default(), parts.nth(1).unwrap_or_default())
}

#[test]
fn a_profile_that_is_named_comes_before_the_environment() {
    assert_eq!(signed_by(&["status"], &KEYS), "OFENVIRONMENT in us-east-1");
    assert_eq!(signed_by(&["status", "--profile", "ops", "--region", "eu-west-1"], &KEYS), "OFPROFILE in eu-west-1");
    assert_eq!(signed_by(&["status", "--profile", "ops"], &[]), "OFPROFILE in eu-west-1");
    assert_eq!(signed_by(&["status"], &[("AWS_PROFILE", "ops")]), "OFPROFILE in eu-west-1");
}

#[test]
fn without_credentials_it_says_how_to_log_in() {
    let check = |words: &[&str], variables: &[(&str, &str)], says: &str| {
        let output = tagship(words, variables);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(5) && said.contains(says), "{words:?}: {output:?}");
    };
    check(&["status"], &[("AWS_REGION", "us-east-1")], "no AWS credentials: ");
    check(&["status", "--profile", "nope"], &KEYS, "no AWS credentials of profile nope (is it in ~/.aws/config?)");
    check(&["status"], &KEYS[..2], "no Region is set");
}
