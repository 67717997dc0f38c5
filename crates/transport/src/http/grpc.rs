//! A question over gRPC: whole numbers go in, whole numbers come out, nothing is generated from a schema.
//!
//! Why: some products tell the hash of their data in no other way on older releases, and a child process for every look
//! costs more than the answer. Absent on purpose: streams, texts, and anything that changes the product.

use super::{
    Body, HttpClient, HttpRequest, HttpResponse, Proof,
    exchange::{Exchange, Lost},
    tls,
};
use crate::{Answer, redact};
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
        let exchange = self.grpc_exchange()?;
        let address = format!("{}/{}", call.url.trim_end_matches('/'), call.method);
        let request = HttpRequest {
            body: Some(Body::Grpc(framed(&call.request))),
            ..HttpRequest::new("POST", &address)
                .header("te", "trailers")
                .reads_only()
                .via(call.via.clone())
        };
        let mut retried = false;
        loop {
            let proof = self.proof(&address, call.via.as_deref(), deadline, limit).await?;
            let auth = self.auth(&proof);
            let head =
                exchange.head(&request, &auth, deadline, limit).await.map_err(Lost::into_text)?;
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
            if let Some(status) = status.filter(|status| status != "0") {
                return Err(format!(
                    "{} answered with gRPC status {status}: {message}",
                    redact::url(&address)
                ));
            }
            let whole =
                exchange.rest(head, &request, deadline, limit).await.map_err(Lost::into_text)?;
            return numbers(&whole, &call.answer)
                .map_err(|because| format!("{} gave {because}", redact::url(&address)));
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
        HttpResponse { status: 200, body }
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

    #[test]
    fn an_answer_that_is_none_is_told() {
        let ask = wanted(&[("x", &[1, 1])]);
        let no = |response: &HttpResponse| numbers(response, &ask).unwrap_err();
        assert!(no(&HttpResponse { status: 200, body: Vec::new() }).contains("no message"));
        assert!(no(&HttpResponse { status: 404, body: Vec::new() }).contains("404"));
        assert!(
            no(&HttpResponse { status: 200, body: vec![0, 0, 0, 0, 9, 1] }).contains("cut short")
        );
        assert!(
            no(&HttpResponse { status: 200, body: vec![1, 0, 0, 0, 0] }).contains("compressed")
        );
        for broken in [&[0x0a, 9, 1][..], &[0x0a], &[0xff; 12]] {
            assert!(numbers(&answer(broken), &ask).is_err(), "{broken:?}");
        }
    }
}
