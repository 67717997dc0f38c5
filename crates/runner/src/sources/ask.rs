//! Asks one source: runs its program, or reads its address.

use super::failed;
use crate::problem::Problem;
use jiff::Timestamp;
use quorate_inventory::{ListedHost, Source, sources::Question};
use quorate_transport::{
    Answer, Command, LocalTransport, Transport,
    http::{Credentials, HttpClient, HttpRequest},
    redact,
};
use std::time::Duration;

/// What it lists now.
pub(super) async fn hosts(source: &Source, now: Timestamp) -> Result<Vec<ListedHost>, Problem> {
    let limit = source.limits.answer;
    let text = match source.question() {
        Some(Question::Run { argv, folder, env, install }) => {
            let env = env.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            let command = Command { work_dir: folder, env: env.collect(), ..Command::new(argv) };
            run(source, &command, limit, install).await?
        }
        Some(Question::Get { url, token, tls }) => {
            let credentials = token.map(|(header, password)| Credentials {
                user: source.name.clone(),
                password,
                login: None,
                token_header: Some(header.to_owned()),
                basic_for: None,
            });
            let client = HttpClient::new(tls.as_ref(), credentials).map_err(|error| {
                let hint = error.hint();
                failed(source, error.to_string()).hint(hint)
            })?;
            get(source, &client, &url, limit).await?
        }
        None => String::new(),
    };
    source.hosts(&text, now).map_err(|wrong| failed(source, wrong.because).hint(wrong.hint))
}

async fn run(
    source: &Source,
    command: &Command,
    limit: Duration,
    install: &str,
) -> Result<String, Problem> {
    match LocalTransport.run(command, limit).await {
        Answer::Done(output) if output.ok() => Ok(output.text()),
        Answer::Done(output) => {
            let status = match output.status {
                Some(status) => format!("ended with status {status}"),
                None => "was ended by a signal".to_owned(),
            };
            let said = redact::text(&output.complaint(), &[]);
            let said = if said.is_empty() { "it said nothing".to_owned() } else { said };
            Err(failed(source, format!("`{}` {status}: {said}", command.shown()))
                .hint("run it by hand in the folder of the fleet file"))
        }
        // It never ran.
        Answer::Failed(because) => Err(failed(source, because).hint(install)),
        Answer::Unknown(because) => Err(failed(source, because)
            .hint("mend what it waits for, or give it longer with `limit_secs` in the source")),
    }
}

async fn get(
    source: &Source,
    client: &HttpClient,
    url: &str,
    limit: Duration,
) -> Result<String, Problem> {
    match client.send(&HttpRequest::get(url), limit).await {
        Answer::Done(answer) if answer.ok() => Ok(answer.text()),
        Answer::Done(answer) => {
            let said = redact::text(answer.text().lines().next().unwrap_or_default(), &[]);
            Err(failed(source, format!("{} answers {}: {said}", redact::url(url), answer.status))
                .hint(
                    "a token that may read nodes and services belongs into `token` of the source",
                ))
        }
        Answer::Failed(because) | Answer::Unknown(because) => Err(failed(source, because)
            .hint("see that an agent listens there, and that this machine reaches it")),
    }
}
