//! Answers the state's private zones over UDP and TCP, as the VPC's resolver does.

use async_trait::async_trait;
use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::proto::op::{Edns, Header, HeaderCounts, Metadata, ResponseCode};
use hickory_server::proto::rr::{Name, RData, Record, RecordType, rdata};
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tagship_cloud::state::{RecordSet, State, Zone};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;

/// The largest answer over UDP that isn't fragmented (DNS flag day 2020).
const UDP_PAYLOAD_BYTES: u16 = 1232;

/// The running name server; it ends when dropped.
pub struct Dns {
    address: SocketAddr,
    _server: Server<Zones>,
}

impl Dns {
    /// Binds a free port of 127.0.0.1, the same one for UDP and TCP.
    pub async fn start(states: watch::Receiver<Arc<State>>) -> io::Result<Self> {
        let (udp, tcp) = bind().await?;
        let address = udp.local_addr()?;
        let mut server = Server::new(Zones(states));
        server.register_socket(udp);
        // Long answers are truncated over UDP and asked for again over TCP.
        server.register_listener(tcp, Duration::from_secs(5), 16);
        Ok(Self { address, _server: server })
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn bind() -> io::Result<(UdpSocket, TcpListener)> {
    let mut tries_left = 20;
    loop {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        match UdpSocket::bind(tcp.local_addr()?).await {
            Ok(udp) => return Ok((udp, tcp)),
            Err(error) if tries_left == 0 => return Err(error),
            // Somebody has this port in UDP alone.
            Err(_) => tries_left -= 1,
        }
    }
}

struct Zones(watch::Receiver<Arc<State>>);

#[async_trait]
impl RequestHandler for Zones {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut response_handle: R,
    ) -> ResponseInfo {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        let mut answers = Vec::new();
        match request.request_info() {
            Ok(info) => {
                let name = Name::from(info.query.name());
                let state = self.0.borrow().clone();
                match lookup(&state, &name, info.query.query_type()) {
                    Some(Ok(records)) => answers = records,
                    Some(Err(code)) => metadata.response_code = code,
                    None => metadata.response_code = ResponseCode::Refused,
                }
                metadata.authoritative = metadata.response_code != ResponseCode::Refused;
            }
            Err(_) => metadata.response_code = ResponseCode::FormErr,
        }
        let edns = request.edns.as_ref().map(|asked| {
            let mut edns = Edns::new();
            edns.set_max_payload(asked.max_payload().clamp(512, UDP_PAYLOAD_BYTES));
            edns
        });
        let response =
            MessageResponseBuilder::new(&request.queries, edns.as_ref()).build(metadata, answers.iter(), [], [], []);
        response_handle.send_response(response).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "a DNS answer could not be sent");
            metadata.response_code = ResponseCode::ServFail;
            ResponseInfo::from(Header { metadata, counts: HeaderCounts::default() })
        })
    }
}

/// What the private zones say; `None` if the name is in no zone.
fn lookup(state: &State, name: &Name, wanted: RecordType) -> Option<Result<Vec<Record>, ResponseCode>> {
    let zone = zone_of(state, name)?;
    let named: Vec<&RecordSet> = zone.records.iter().filter(|set| parse(&set.name).as_ref() == Some(name)).collect();
    let below = || zone.records.iter().filter_map(|set| parse(&set.name)).any(|other| name.zone_of(&other));
    if named.is_empty() && !below() {
        return Some(Err(ResponseCode::NXDomain));
    }
    let records = named
        .into_iter()
        .flat_map(|set| set.values.iter().map(move |value| (set, value)))
        .filter_map(|(set, value)| {
            let data = match set.record_type.as_str() {
                "A" => RData::A(rdata::A(value.parse().ok()?)),
                "CNAME" => RData::CNAME(rdata::CNAME(parse(value)?)),
                _ => return None,
            };
            let kind = data.record_type();
            (kind == wanted || kind == RecordType::CNAME || wanted == RecordType::ANY)
                .then(|| Record::from_rdata(name.clone(), set.ttl, data))
        })
        .collect();
    Some(Ok(records))
}

/// The private zone with the longest name that covers `name`.
fn zone_of<'a>(state: &'a State, name: &Name) -> Option<&'a Zone> {
    state
        .zones
        .iter()
        .filter(|zone| zone.private && parse(&zone.name).is_some_and(|apex| apex.zone_of(name)))
        .max_by_key(|zone| zone.name.len())
}

fn parse(text: &str) -> Option<Name> {
    let mut name = Name::from_ascii(text).ok()?.to_lowercase();
    name.set_fqdn(true);
    Some(name)
}
