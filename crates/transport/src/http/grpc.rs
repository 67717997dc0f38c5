//! A question over gRPC: whole numbers go in, whole numbers come out, nothing is generated from a schema.
//!
//! Why: some products tell the hash of their data in no other way on older releases, and a child process for every look
//! costs more than the answer. A stream of messages gives one field of bytes, for copies of the data.
//! Absent on purpose: texts, and anything that changes the product.

use super::{
    Body, HttpClient, HttpRequest, HttpResponse, Pieces, Proof,
    exchange::{Exchange, Lost},
    tls,
};
use crate::{Answer, redact};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt, stream};
use prost::{
    DecodeError,
    bytes::Buf,
    encoding::{
        DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field,
    },
};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};
use tokio::time::Instant;

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcCall {
    /// Address of the server, without a path.
    pub url: String,
    /// `package.Service/Method`.
    pub method: String,
    /// Values of the request's fields 1, 2, ...
    pub request: Vec<u64>,
    /// Numbers of the answer: the name that each gets, and its field numbers from the outside in.
    pub answer: BTreeMap<String, Vec<u32>>,
    /// The socket of a tunnel that leads to the server; none when this machine reaches it by itself.
    pub via: Option<PathBuf>,
}

/// Five bytes go before each message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;
/// The server does not know who asks.
const UNAUTHENTICATED: &str = "16";
/// No server sends a longer message unless it is told to: four megabytes is the usual limit of those who read.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A stream of messages, each with a part of something large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcStream {
    /// Address of the server, without a path.
    pub url: String,
    /// `package.Service/Method`.
    pub method: String,
    /// The field of each message that holds the part.
    pub part: u32,
    /// The field that says how many bytes are still to come: what the status after the last message would say otherwise.
    pub left: u32,
    /// The socket of a tunnel that leads to the server; none when this machine reaches it by itself.
    pub via: Option<PathBuf>,
}

impl HttpClient {
    /// Asks, and waits for the whole answer. A question changes nothing, so what is lost is plainly Failed.
    pub async fn grpc(&self, call: &GrpcCall, limit: Duration) -> Answer<BTreeMap<String, u64>> {
        match self.ask_grpc(call, limit).await {
            Ok(numbers) => Answer::Done(numbers),
            Err(because) => Answer::Failed(because),
        }
    }

    async fn ask_grpc(
        &self,
        call: &GrpcCall,
        limit: Duration,
    ) -> Result<BTreeMap<String, u64>, String> {
        let deadline = Instant::now() + limit;
        let address = format!("{}/{}", call.url.trim_end_matches('/'), call.method);
        let request = question(&address, &call.request, call.via.clone());
        let head = self.grpc_head(&request, deadline, limit).await?;
        let rest = self.grpc_exchange()?.rest(head, &request, deadline, limit).await;
        numbers(&rest.map_err(Lost::into_text)?, &call.answer)
            .map_err(|because| format!("{} gave {because}", redact::url(&address)))
    }

    /// Asks for something large and gives its parts. Every wait ends after `idle`; a fault is the last item, and so is an end
    /// that comes before the whole has come.
    pub fn grpc_pieces(&self, call: &GrpcStream, idle: Duration) -> Pieces {
        let (client, call) = (self.clone(), call.clone());
        let opened = async move {
            let address = format!("{}/{}", call.url.trim_end_matches('/'), call.method);
            let request = question(&address, &[], call.via.clone());
            let head = client.grpc_head(&request, Instant::now() + idle, idle).await?;
            let pieces = client.grpc_exchange()?.pieces(head, &request, idle);
            Ok::<_, String>(parts(pieces, call, redact::url(&address)))
        };
        stream::once(opened).try_flatten().boxed()
    }

    /// Asks and waits for the head of an answer that is none of a failed call.
    async fn grpc_head(
        &self,
        request: &HttpRequest,
        deadline: Instant,
        limit: Duration,
    ) -> Result<reqwest::Response, String> {
        let (exchange, address) = (self.grpc_exchange()?, &request.url);
        let mut retried = false;
        loop {
            let proof = self.proof(address, request.via.as_deref(), deadline, limit).await?;
            let auth = self.auth(&proof);
            let head =
                exchange.head(request, &auth, deadline, limit).await.map_err(Lost::into_text)?;
            // A call that fails is answered with headers alone; the status of one that succeeds comes after its message.
            let told = |name: &str| {
                head.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
            };
            let (status, message) = (told("grpc-status"), told("grpc-message").unwrap_or_default());
            if let (Some(UNAUTHENTICATED), Proof::Token { address, token }, false) =
                (status.as_deref(), &proof, retried)
            {
                retried = true;
                self.inner.tokens.place(address).lock().await.forget(token);
                continue;
            }
            return match status.filter(|status| status != "0") {
                Some(status) => Err(format!(
                    "{} answered with gRPC status {status}: {message}",
                    redact::url(address)
                )),
                None => Ok(head),
            };
        }
    }

    /// HTTP/2 from the first byte, on connections of their own: gRPC servers speak nothing else, and everything else is
    /// asked over HTTP/1.1.
    fn grpc_exchange(&self) -> Result<&Exchange, String> {
        let made = self.inner.grpc.get_or_init(|| {
            let mut tls =
                tls::client(self.inner.tls.as_ref()).map_err(|error| error.to_string())?;
            tls.config.alpn_protocols = vec![b"h2".to_vec()];
            Exchange::http2(tls).map_err(|error| error.to_string())
        });
        made.as_ref().map_err(Clone::clone)
    }
}

fn question(address: &str, fields: &[u64], via: Option<PathBuf>) -> HttpRequest {
    let request = HttpRequest::new("POST", address).header("te", "trailers").reads_only().via(via);
    HttpRequest { body: Some(Body::Grpc(framed(fields))), ..request }
}

/// The parts of a stream of messages, in order, to the end that the last one names.
fn parts(pieces: Pieces, call: GrpcStream, shown: String) -> Pieces {
    struct State {
        pieces: Pieces,
        buffer: BytesMut,
        left: Option<u64>,
        over: bool,
    }
    let state = State { pieces, buffer: BytesMut::new(), left: None, over: false };
    stream::unfold(state, move |mut state| {
        let (call, shown) = (call.clone(), shown.clone());
        async move {
            if state.over {
                return None;
            }
            loop {
                match message(&mut state.buffer) {
                    Ok(Some(message)) => {
                        let read = number_at(&message, &[call.left])
                            .and_then(|left| Ok((left, bytes_at(&message, call.part)?)));
                        state.over = read.is_err();
                        let read = read.map(|(left, part)| {
                            state.left = Some(left);
                            part
                        });
                        let said = |because| format!("{shown} gave no message: {because}");
                        return Some((read.map_err(said), state));
                    }
                    Ok(None) => {}
                    Err(because) => {
                        state.over = true;
                        return Some((Err(format!("{shown} gave {because}")), state));
                    }
                }
                match state.pieces.next().await {
                    Some(Ok(piece)) => state.buffer.extend_from_slice(&piece),
                    Some(Err(because)) => {
                        state.over = true;
                        return Some((Err(because), state));
                    }
                    None => {
                        let whole = state.left == Some(0) && state.buffer.is_empty();
                        state.over = true;
                        let because = match state.left {
                            Some(left) => format!("{shown} ended with {left} bytes still to come"),
                            None => format!("{shown} sent nothing"),
                        };
                        return (!whole).then_some((Err(because), state));
                    }
                }
            }
        }
    })
    .fuse()
    .boxed()
}

/// The next whole message of a stream; none when more must come first.
fn message(buffer: &mut BytesMut) -> Result<Option<Bytes>, String> {
    let Some((prefix, rest)) = buffer.split_first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
    let [0, length @ ..] = prefix else {
        return Err("a compressed message, which was not asked for".to_owned());
    };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    if length > MESSAGE_BYTES_MAX {
        return Err(format!("a message of {length} bytes, more than {MESSAGE_BYTES_MAX}"));
    }
    if rest.len() < length {
        return Ok(None);
    }
    buffer.advance(PREFIX_BYTES);
    Ok(Some(buffer.split_to(length).freeze()))
}

/// The bytes of a field; none when the message leaves it out.
fn bytes_at(message: &Bytes, wanted: u32) -> Result<Bytes, String> {
    let text = |error: DecodeError| error.to_string();
    let (mut rest, mut found) = (message.clone(), Bytes::new());
    while rest.has_remaining() {
        let (number, wire) = decode_key(&mut rest).map_err(text)?;
        if wire == WireType::LengthDelimited && number == wanted {
            let length = decode_varint(&mut rest).map_err(text)?;
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length > rest.len() {
                return Err(format!("field {number} is longer than its message"));
            }
            found = rest.split_to(length);
        } else {
            skip_field(wire, number, &mut rest, DecodeContext::default()).map_err(text)?;
        }
    }
    Ok(found)
}

fn framed(fields: &[u64]) -> Vec<u8> {
    let mut message = Vec::new();
    for (number, value) in (1_u32..).zip(fields) {
        encode_key(number, WireType::Varint, &mut message);
        encode_varint(*value, &mut message);
    }
    // A message of a few numbers never comes near the four bytes of its length.
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut framed = vec![0];
    framed.extend(length.to_be_bytes());
    framed.extend(message);
    framed
}

fn numbers(
    answer: &HttpResponse,
    wanted: &BTreeMap<String, Vec<u32>>,
) -> Result<BTreeMap<String, u64>, String> {
    if answer.status != 200 {
        return Err(format!("HTTP status {}, so it speaks no gRPC there", answer.status));
    }
    let message = match answer.body.split_first_chunk::<PREFIX_BYTES>() {
        None => return Err("no message; its status came too late to be read".to_owned()),
        Some(([0, length @ ..], rest)) => usize::try_from(u32::from_be_bytes(*length))
            .ok()
            .and_then(|length| rest.get(..length))
            .ok_or("a message that is cut short")?,
        Some(_) => return Err("a compressed message, which was not asked for".to_owned()),
    };
    let number = |(name, path): (&String, &Vec<u32>)| {
        let number = number_at(message, path).map_err(|error| format!("no message: {error}"))?;
        Ok((name.clone(), number))
    };
    wanted.iter().map(number).collect()
}

/// The number at a path; 0 when the message leaves it out, and the last one when it comes twice, as proto3 has it.
fn number_at(mut message: &[u8], path: &[u32]) -> Result<u64, String> {
    let text = |error: DecodeError| error.to_string();
    let Some((first, inner)) = path.split_first() else { return Ok(0) };
    let mut found = 0;
    while message.has_remaining() {
        let (number, wire) = decode_key(&mut message).map_err(text)?;
        match (wire, inner.is_empty()) {
            (WireType::Varint, true) if number == *first => {
                found = decode_varint(&mut message).map_err(text)?;
            }
            (WireType::LengthDelimited, false) if number == *first => {
                let length = decode_varint(&mut message).map_err(text)?;
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                let Some((part, rest)) = message.split_at_checked(length) else {
                    return Err(format!("field {number} is longer than its message"));
                };
                found = number_at(part, inner)?;
                message = rest;
            }
            _ => {
                skip_field(wire, number, &mut message, DecodeContext::default()).map_err(text)?;
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(message: &[u8]) -> HttpResponse {
        let mut body = vec![0];
        body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        body.extend(message);
        HttpResponse { status: 200, body, header: None }
    }

    fn wanted(paths: &[(&str, &[u32])]) -> BTreeMap<String, Vec<u32>> {
        paths.iter().map(|(name, path)| ((*name).to_owned(), path.to_vec())).collect()
    }

    #[test]
    fn frames_numbers_as_proto3_does() {
        assert_eq!(framed(&[]), [0, 0, 0, 0, 0]);
        assert_eq!(framed(&[300]), [0, 0, 0, 0, 3, 0x08, 0xac, 0x02]);
    }

    #[test]
    fn finds_numbers_by_their_path_and_takes_what_is_left_out_for_zero() {
        // {header = 1 {cluster = 1: 7, revision = 3: 500}, hash = 2: 300}
        let message = [0x0a, 5, 0x08, 7, 0x18, 0xf4, 0x03, 0x10, 0xac, 0x02];
        let found = numbers(
            &answer(&message),
            &wanted(&[("hash", &[2]), ("revision", &[1, 3]), ("compact", &[3])]),
        );
        assert_eq!(
            found.unwrap(),
            BTreeMap::from([("compact".into(), 0), ("hash".into(), 300), ("revision".into(), 500)])
        );
    }

    /// One message of a stream: {left = 2, part = 3}.
    fn streamed(left: u8, part: &[u8]) -> Vec<u8> {
        let mut message = vec![0x10, left, 0x1a, u8::try_from(part.len()).unwrap()];
        message.extend(part);
        answer(&message).body
    }

    async fn gathered(pieces: Vec<Result<Bytes, String>>) -> Result<Vec<u8>, String> {
        let call =
            GrpcStream { url: String::new(), method: String::new(), part: 3, left: 2, via: None };
        let parts = parts(stream::iter(pieces).boxed(), call, "it".to_owned());
        parts
            .try_fold(Vec::new(), |all, part| async move { Ok([all, part.to_vec()].concat()) })
            .await
    }

    #[tokio::test]
    async fn parts_come_whole_however_the_line_cuts_them_and_an_early_end_is_a_fault() {
        let all = [streamed(3, b"abc"), streamed(0, b"def")].concat();
        for size in 1..all.len() {
            let pieces = all.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
            assert_eq!(gathered(pieces).await.unwrap(), b"abcdef", "in pieces of {size}");
        }
        for end in 0..all.len() {
            let cut = vec![Ok(Bytes::copy_from_slice(&all[..end]))];
            assert!(gathered(cut).await.is_err(), "cut after {end}");
        }
        let huge = Bytes::from_static(&[0, 0xff, 0, 0, 0]);
        assert!(gathered(vec![Ok(huge)]).await.unwrap_err().contains("more than"));
        let lost = vec![Ok(Bytes::from(all)), Err("lost".to_owned())];
        assert_eq!(gathered(lost).await.unwrap_err(), "lost");
    }

    #[test]
    fn an_answer_that_is_none_is_told() {
        let ask = wanted(&[("x", &[1, 1])]);
        let no = |response: &HttpResponse| numbers(response, &ask).unwrap_err();
        assert!(
            no(&HttpResponse { status: 200, body: Vec::new(), header: None })
                .contains("no message")
        );
        assert!(no(&HttpResponse { status: 404, body: Vec::new(), header: None }).contains("404"));
        assert!(
            no(&HttpResponse { status: 200, body: vec![0, 0, 0, 0, 9, 1], header: None })
                .contains("cut short")
        );
        assert!(
            no(&HttpResponse { status: 200, body: vec![1, 0, 0, 0, 0], header: None })
                .contains("compressed")
        );
        for broken in [&[0x0a, 9, 1][..], &[0x0a], &[0xff; 12]] {
            assert!(numbers(&answer(broken), &ask).is_err(), "{broken:?}");
        }
    }
}
