//! Names over UDP and TCP, asked for in DNS's own wire format.

use hickory_server::proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_server::proto::rr::{Name, RecordType};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use tagship_local::dns::Dns;
use tagship_local::state::State;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::watch;

fn state() -> Arc<State> {
    let many: Vec<String> = (0..100).map(|n| format!("127.16.1.{n}")).collect();
    let record = |name: &str, values: &[String]| json!({"name": name, "type": "A", "ttl": 10, "values": values});
    let two = ["127.16.1.4".to_owned(), "127.16.1.5".to_owned()];
    Arc::new(
        serde_json::from_value(json!({"zones": [
            {"id": "Z1", "name": "cd.internal.", "private": true, "records": [
                record("candidate.web.cd.internal.", &two),
                record("live.web.cd.internal", &many),
            ]},
            {"id": "Z2", "name": "example.com", "private": false, "records": [record("www.example.com", &two)]},
        ]}))
        .unwrap(),
    )
}

fn question(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message.to_vec().unwrap()
}

async fn ask(server: SocketAddr, name: &str, kind: RecordType) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&question(name, kind), server).await.unwrap();
    let mut answer = vec![0; 4096];
    let length = socket.recv(&mut answer).await.unwrap();
    Message::from_vec(&answer[..length]).unwrap()
}

#[tokio::test]
async fn answers() {
    let (_states, seen) = watch::channel(state());
    let dns = Dns::start(seen).await.unwrap();
    let two = "10 127.16.1.4, 10 127.16.1.5";
    for (name, kind, code, want) in [
        ("candidate.web.cd.internal.", RecordType::A, ResponseCode::NoError, two),
        ("Candidate.WEB.cd.internal.", RecordType::A, ResponseCode::NoError, two),
        ("candidate.web.cd.internal.", RecordType::AAAA, ResponseCode::NoError, ""),
        ("web.cd.internal.", RecordType::A, ResponseCode::NoError, ""),
        ("gone.web.cd.internal.", RecordType::A, ResponseCode::NXDomain, ""),
        ("www.example.com.", RecordType::A, ResponseCode::Refused, ""),
    ] {
        let message = ask(dns.address(), name, kind).await;
        let got: Vec<String> = message.answers.iter().map(|record| format!("{} {}", record.ttl, record.data)).collect();
        assert_eq!((message.metadata.response_code, got.join(", ").as_str()), (code, want), "{name} {kind}");
    }
}

#[tokio::test]
async fn a_name_is_gone_with_its_record() {
    let (states, seen) = watch::channel(state());
    let dns = Dns::start(seen).await.unwrap();
    states.send_modify(|state| Arc::make_mut(state).zones[0].records.clear());
    let message = ask(dns.address(), "candidate.web.cd.internal.", RecordType::A).await;
    assert_eq!(message.metadata.response_code, ResponseCode::NXDomain);
}

#[tokio::test]
async fn a_hundred_addresses_are_truncated_over_udp_and_whole_over_tcp() {
    let (_states, seen) = watch::channel(state());
    let dns = Dns::start(seen).await.unwrap();
    let name = "live.web.cd.internal.";
    assert!(ask(dns.address(), name, RecordType::A).await.metadata.truncation);

    let mut stream = TcpStream::connect(dns.address()).await.unwrap();
    let question = question(name, RecordType::A);
    stream.write_u16(question.len() as u16).await.unwrap();
    stream.write_all(&question).await.unwrap();
    let mut answer = vec![0; usize::from(stream.read_u16().await.unwrap())];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(Message::from_vec(&answer).unwrap().answers.len(), 100);
}
