//! Turns the data of an etcd v2 store into a v3 snapshot, on this machine, while the cluster stands still, and proves it.
//!
//! Invariant: the cluster is only asked here, never changed; what is converted is a copy.
//! Read next: `convert.rs`.

mod changes;
mod convert;
mod ends;
mod leases;
mod listed;
mod settled;
mod since;
mod told;
mod v2_api;
mod v2_store;
mod write_back;

use super::{
    Asked, etcd, scratch,
    side::{Side, bytes, number},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use listed::{Comparison, OWN_KEY, shown};
use quorate_model::Release;
use quorate_transport::http::HttpClient;
use serde_json::{Value, json};

pub(super) use settled::settled;

/// Saves what clients have written into the v3 store since a conversion.
pub(super) async fn save_since(asked: Asked<'_>) -> Result<String, String> {
    let hands = asked.hands;
    let (copy, file) = (asked.arg("source")?, asked.arg("file")?);
    let side = Side::at(&asked, asked.arg("endpoint")?.to_owned()).await?;
    let saved = since::save(&side, &hands.state_file(copy), &hands.state_file(file)).await?;
    Ok(saved.to_string())
}

/// Writes that into the v2 store, once it holds again what it held before the conversion.
pub(super) async fn write_back(asked: Asked<'_>) -> Result<String, String> {
    let file = asked.hands.state_file(asked.arg("file")?);
    let side = Side::at(&asked, asked.arg("endpoint")?.to_owned()).await?;
    write_back::write(&side, &file).await.map(|written| written.to_string())
}

/// Whether a live member's v3 store is empty: a conversion would mix with what is there.
pub(super) async fn no_v3_key(asked: Asked<'_>) -> Result<String, String> {
    let side = Side::at(&asked, asked.arg("endpoint")?.to_owned()).await?;
    let own = json!({"key": STANDARD.encode(OWN_KEY), "count_only": true});
    let own = side.range(&own).await?;
    // Two: one of them may be our own.
    let all = json!({"key": "AA==", "range_end": "AA==", "limit": "2", "keys_only": true});
    judged(&side.range(&all).await?, &own)
}

fn judged(all: &Value, own: &Value) -> Result<String, String> {
    let counts = number(all, "count").zip(number(own, "count"));
    let (all_count, own_count) = counts.ok_or("the member counts no keys")?;
    match (all_count.saturating_sub(own_count), own_count) {
        (0, 0) => return Ok("no v3 key".to_owned()),
        (0, _) => return Ok(format!("no v3 key but `{OWN_KEY}`, which this program wrote")),
        _ => {}
    }
    let keys = all.get("kvs").and_then(Value::as_array).into_iter().flatten();
    let mut others = keys.filter_map(|kv| bytes(kv, "key")).filter(|key| key != OWN_KEY.as_bytes());
    let first =
        others.next().map_or(String::new(), |key| format!(" (the first is {})", shown(&key)));
    let number = match all_count - own_count {
        1 => "1 key".to_owned(),
        number => format!("{number} keys"),
    };
    Err(format!(
        "the v3 store holds {number} already{first}, which a conversion of the v2 store would mix with its own: copy what it holds elsewhere and delete them, or do without the conversion"
    ))
}

/// Converts the cold copy of a stopped member.
pub(super) async fn convert(asked: Asked<'_>) -> Result<String, String> {
    let hands = asked.hands;
    let (source, file) = (asked.arg("source")?, asked.arg("file")?);
    let tools = hands.own_tools(asked.releases).await?;
    let (source, file) = (hands.state_file(source), hands.state_file(file));
    convert::convert(&tools, &source, &file).await.map(|converted| converted.to_string())
}

/// Proves a v2 backup, and tells with it what of it a v3 store could not say: whoever is to move there should know before.
pub(super) async fn v2_backup(asked: Asked<'_>) -> Result<String, String> {
    let said = etcd::v2_backup(asked, super::v2_keys::compare).await?;
    // A member of 2.x has no v3 store that could tell how far it is.
    let knows_v3 = |release: &&&Release| release.numbers().first().is_some_and(|major| *major >= 3);
    if asked.releases.first().filter(knows_v3).is_none() {
        return Ok(said);
    }
    let tools = asked.hands.own_tools(asked.releases).await?;
    let unsayable = convert::unsayable(&tools, &asked.hands.state_file(asked.arg("file")?)).await;
    let told = match unsayable {
        Ok(clauses) if clauses.is_empty() => "a v3 store could say all of it".to_owned(),
        Ok(clauses) => format!("a v3 store could not say: {}", clauses.join("; ")),
        // The copy is proved all the same.
        Err(because) => format!("whether a v3 store could say all of it is not known: {because}"),
    };
    Ok(format!("{said}; {told}"))
}

/// Restores a converted copy into a scratch member, and compares it with what the v2 store held.
pub(super) async fn verify(asked: Asked<'_>) -> Result<String, String> {
    let file = asked.hands.state_file(asked.arg("file")?);
    let tools = asked.hands.own_tools(asked.releases).await?;
    let list = Comparison::with(&file).await?;
    let own = HttpClient::new(None, None).map_err(|error| error.to_string())?;
    let scratch = etcd::restored(&tools, &file).await?;
    let compared = list.over(&Side::of(&own, &scratch)).await;
    scratch::end(scratch).await;
    let (keys, passing) = compared.map_err(|because| format!("in the converted copy {because}"))?;
    Ok(format!(
        "restored into a scratch member: {keys} keys as in the v2 store, {passing} of them with a time to live"
    ))
}

/// Compares what a live member holds by itself with what the v2 store held.
pub(super) async fn compare(asked: Asked<'_>) -> Result<String, String> {
    let list = Comparison::with(&asked.hands.state_file(asked.arg("file")?)).await?;
    let side = Side::at(&asked, asked.arg("endpoint")?.to_owned()).await?;
    let node = asked.node;
    let (keys, passing) =
        list.over(&side).await.map_err(|because| format!("on {node} {because}"))?;
    Ok(format!(
        "{node} holds {keys} keys as in the v2 store, {passing} of them with a time to live"
    ))
}

#[cfg(test)]
mod tests {
    use super::judged;
    use serde_json::{Value, json};

    /// Answers as the gateway gives them: base64, numbers as text, zeros left out.
    fn all(count: u64, keys: &[&str]) -> Value {
        let kvs: Vec<Value> = keys.iter().map(|key| json!({ "key": key })).collect();
        if count == 0 { json!({}) } else { json!({"count": count.to_string(), "kvs": kvs}) }
    }

    #[test]
    fn only_keys_of_others_count() {
        let own = "cXVvcmF0ZS92My1zdGF0ZQ==";
        assert_eq!(judged(&all(0, &[]), &all(0, &[])).unwrap(), "no v3 key");
        let said = judged(&all(1, &[own]), &all(1, &[])).unwrap();
        assert!(said.contains("but `quorate/v3-state`"), "{said}");
        let said = judged(&all(3, &[own, "eg=="]), &all(1, &[])).unwrap_err();
        assert!(said.contains("holds 2 keys already (the first is `z`)"), "{said}");
        let said = judged(&all(1, &["/w=="]), &all(0, &[])).unwrap_err();
        assert!(said.contains("1 key already (the first is ff in hexadecimal"), "{said}");
        assert!(said.contains("copy what it holds elsewhere and delete them"), "{said}");
    }
}
