//! Cuts a stream of bytes into the JSON documents in it: how gateways stream watches and snapshots.

use bytes::Bytes;
use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use serde_json::Value;
use std::collections::VecDeque;

/// A longer document is refused: it would be no event, and snapshots come in pieces of 32 KiB to 1 MiB.
const DOCUMENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Documents that follow one another, with or without line breaks between them. The first fault is the last item;
/// bytes that end in the middle of a document are a fault.
pub fn documents<S>(pieces: S) -> BoxStream<'static, Result<Value, String>>
where
    S: Stream<Item = Result<Bytes, String>> + Send + Unpin + 'static,
{
    let start = State { pieces, buffer: Vec::new(), ready: VecDeque::new(), over: false };
    stream::unfold(start, |mut state| async move {
        loop {
            if let Some(item) = state.ready.pop_front() {
                state.over |= item.is_err();
                return Some((item, state));
            }
            if state.over {
                return None;
            }
            match state.pieces.next().await {
                Some(Ok(piece)) => {
                    state.buffer.extend_from_slice(&piece);
                    cut(&mut state.buffer, &mut state.ready);
                }
                Some(Err(because)) => state.ready.push_back(Err(because)),
                None => {
                    state.over = true;
                    if !state.buffer.trim_ascii().is_empty() {
                        state.ready.push_back(Err(
                            "the stream ended in the middle of a document".to_owned()
                        ));
                    }
                }
            }
        }
    })
    .fuse()
    .boxed()
}

struct State<S> {
    pieces: S,
    buffer: Vec<u8>,
    ready: VecDeque<Result<Value, String>>,
    over: bool,
}

/// Moves whole documents out of the buffer.
fn cut(buffer: &mut Vec<u8>, ready: &mut VecDeque<Result<Value, String>>) {
    let mut reader = serde_json::Deserializer::from_slice(buffer).into_iter::<Value>();
    let mut used = 0;
    loop {
        match reader.next() {
            Some(Ok(document)) => {
                used = reader.byte_offset();
                ready.push_back(Ok(document));
            }
            Some(Err(error)) if error.is_eof() => break,
            Some(Err(error)) => {
                ready
                    .push_back(Err(format!("the stream holds something that is no JSON: {error}")));
                break;
            }
            None => {
                used = buffer.len();
                break;
            }
        }
    }
    buffer.drain(..used);
    if buffer.len() > DOCUMENT_BYTES_MAX {
        ready.push_back(Err(format!(
            "a document of the stream is longer than {DOCUMENT_BYTES_MAX} bytes"
        )));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(pieces: &[&str], expected: &[Result<&str, &str>]) {
        let pieces: Vec<Result<Bytes, String>> =
            pieces.iter().map(|piece| Ok(Bytes::from((*piece).to_owned()))).collect();
        let seen: Vec<Result<Value, String>> = documents(stream::iter(pieces)).collect().await;
        let shown: Vec<Result<String, String>> =
            seen.into_iter().map(|item| item.map(|value| value.to_string())).collect();
        assert_eq!(shown.len(), expected.len(), "{shown:?}");
        for (seen, expected) in shown.iter().zip(expected) {
            match (seen, expected) {
                (Ok(seen), Ok(expected)) => assert_eq!(seen, expected),
                (Err(seen), Err(expected)) => assert!(seen.contains(expected), "{seen}"),
                (seen, expected) => panic!("{seen:?} is not {expected:?}"),
            }
        }
    }

    #[tokio::test]
    async fn documents_are_cut_wherever_the_pieces_end() {
        check(
            &["{\"a\":1}\n{\"b\"", ":2}", "{\"c\":3}\n"],
            &[Ok("{\"a\":1}"), Ok("{\"b\":2}"), Ok("{\"c\":3}")],
        )
        .await;
        check(&[], &[]).await;
        check(&["{\"a\":\"\\u00", "fc\"}"], &[Ok("{\"a\":\"ü\"}")]).await;
    }

    #[tokio::test]
    async fn a_fault_is_told_and_ends_the_stream() {
        check(&["{\"a\":1}{\"b\""], &[Ok("{\"a\":1}"), Err("middle of a document")]).await;
        check(&["{\"a\":1} oops", "{\"b\":2}"], &[Ok("{\"a\":1}"), Err("no JSON")]).await;
    }
}
