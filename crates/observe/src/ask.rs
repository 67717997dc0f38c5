//! Says one thing to a product, by HTTP, by a command on its host or by a file there, and brings the answer into one form.

use quorate_packs::{CallTemplate, Pack, TemplateValue};
use quorate_transport::{
    Answer, Command, Transport,
    http::{GrpcCall, HttpClient, HttpRequest, authority},
    secret::SecretText,
};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// An answer, whatever it came by.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answered {
    /// HTTP status, exit status of a command, 0 for a file.
    pub(crate) status: i64,
    /// The answer as JSON, null when it is none.
    pub(crate) body: Value,
    /// The answer as text.
    pub(crate) text: String,
    /// Whether the status is one that was expected.
    pub(crate) expected: bool,
    /// How long after the look began it came.
    pub(crate) after: Duration,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// It could not be asked: a word that the question needs is not known.
    NotAsked(String),
    /// It was asked.
    Silent(String),
}

impl NoAnswer {
    pub(crate) fn because(&self) -> &str {
        let (Self::NotAsked(because) | Self::Silent(because)) = self;
        because
    }
}

/// Where and with what a question is asked.
pub(crate) struct Asking<'a> {
    pub(crate) pack: &'a Pack,
    pub(crate) http: &'a HttpClient,
    pub(crate) transport: &'a dyn Transport,
    /// Stands for `{artifact}`.
    pub(crate) folder: Option<&'a Path>,
    /// Variable and value that tell the product's own tools who asks; the value holds a password.
    pub(crate) tool_user: Option<(String, SecretText)>,
    pub(crate) limit: Duration,
}

impl Asking<'_> {
    /// Asks, and waits no longer than the limit.
    pub(crate) async fn ask(
        &self,
        call: &CallTemplate,
        context: &TemplateValue,
    ) -> Result<Answered, NoAnswer> {
        let fill = |template: &str| self.pack.render(template, context).map_err(NoAnswer::NotAsked);
        match call {
            CallTemplate::Http { method, url, body, form, expect_status } => {
                let mut request = HttpRequest::new(method.as_str(), fill(url)?).reads_only();
                request.via = self.tunnel(&request.url).await?;
                if let Some(body) = body {
                    let body = fill(body)?;
                    request = if *form { request.form(body) } else { request.json(body) };
                }
                self.http_answer(&request, expect_status).await
            }
            CallTemplate::Grpc { url, method, request, answer } => {
                let numbers = request.iter().map(|value| fill(value).and_then(whole_number));
                let url = fill(url)?;
                let call = GrpcCall {
                    via: self.tunnel(&url).await?,
                    url,
                    method: method.clone(),
                    request: numbers.collect::<Result<_, _>>()?,
                    answer: answer
                        .iter()
                        .map(|(name, path)| (name.clone(), path.numbers().to_vec()))
                        .collect(),
                };
                self.grpc_answer(&call).await
            }
            CallTemplate::Command { argv, env } => {
                let folder = |word: String| self.with_folder(&word);
                let argv = argv.iter().map(|word| fill(word).and_then(folder));
                let mut command = Command::new(argv.collect::<Result<Vec<_>, _>>()?);
                for (name, value) in env {
                    command = command.env(name, fill(value)?);
                }
                if let Some((name, value)) = &self.tool_user {
                    command = command.env(name, value.expose());
                }
                self.command_answer(&command).await
            }
            CallTemplate::File { path } => self.file_answer(Path::new(&fill(path)?)).await,
            CallTemplate::Native { action, .. } => {
                Err(NoAnswer::NotAsked(format!("`{action}` is an action, it cannot be asked")))
            }
        }
    }

    /// The tunnel to an address, where this machine does not reach it by itself.
    async fn tunnel(&self, url: &str) -> Result<Option<PathBuf>, NoAnswer> {
        let Some(address) = authority(url) else { return Ok(None) };
        self.transport.tunnel(&address).await.map_err(NoAnswer::Silent)
    }

    fn with_folder(&self, word: &str) -> Result<String, NoAnswer> {
        match (word.contains("{artifact}"), self.folder) {
            (false, _) => Ok(word.to_owned()),
            (true, Some(folder)) => Ok(word.replace("{artifact}", &folder.to_string_lossy())),
            (true, None) => {
                Err(NoAnswer::NotAsked(format!("no folder of tools is known for `{word}`")))
            }
        }
    }

    async fn http_answer(
        &self,
        request: &HttpRequest,
        expect: &[u16],
    ) -> Result<Answered, NoAnswer> {
        let response = match self.http.send(request, self.limit).await {
            Answer::Done(response) => response,
            Answer::Failed(because) | Answer::Unknown(because) => {
                return Err(NoAnswer::Silent(because));
            }
        };
        let expected = if expect.is_empty() {
            response.status == 200
        } else {
            expect.contains(&response.status)
        };
        let body = response.json().unwrap_or(Value::Null);
        Ok(Answered {
            status: response.status.into(),
            body,
            text: response.text(),
            expected,
            after: Duration::ZERO,
        })
    }

    async fn grpc_answer(&self, call: &GrpcCall) -> Result<Answered, NoAnswer> {
        let numbers =
            self.http.grpc(call, self.limit).await.into_result().map_err(NoAnswer::Silent)?;
        let body: Value =
            numbers.into_iter().map(|(name, number)| (name, Value::from(number))).collect();
        Ok(Answered {
            status: 0,
            text: body.to_string(),
            body,
            expected: true,
            after: Duration::ZERO,
        })
    }

    async fn command_answer(&self, command: &Command) -> Result<Answered, NoAnswer> {
        match self.transport.run(command, self.limit).await {
            Answer::Done(output) => {
                let text = output.text();
                let body = serde_json::from_str(text.trim()).unwrap_or(Value::Null);
                let status = output.status.map_or(-1, i64::from);
                if !output.ok() {
                    tracing::debug!(
                        command = command.shown(),
                        status,
                        complaint = output.complaint(),
                        "probe command"
                    );
                }
                Ok(Answered { status, body, text, expected: output.ok(), after: Duration::ZERO })
            }
            Answer::Failed(because) | Answer::Unknown(because) => Err(NoAnswer::Silent(because)),
        }
    }

    /// Gives the names that fit, one a line: what is there, not what it holds.
    async fn file_answer(&self, path: &Path) -> Result<Answered, NoAnswer> {
        let names = self.matches(path).await?;
        let text = names.iter().map(|name| format!("{}\n", name.display())).collect();
        Ok(Answered { status: 0, body: Value::Null, text, expected: true, after: Duration::ZERO })
    }

    /// Names that fit a glob whose last part alone has stars, sorted; read with `find` so that any host can answer.
    async fn matches(&self, path: &Path) -> Result<Vec<PathBuf>, NoAnswer> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(NoAnswer::NotAsked(format!("{} names no file", path.display())));
        };
        let name = name.to_string_lossy().into_owned();
        let folder = folder.to_string_lossy().into_owned();
        let words = ["find", &folder, "-maxdepth", "1", "-name", &name];
        let output = self.transport.run(&Command::new(words), self.limit).await;
        let output = output.into_result().map_err(NoAnswer::Silent)?;
        if !output.ok() {
            return Err(NoAnswer::Silent(output.complaint()));
        }
        let mut names: Vec<PathBuf> = output.text().lines().map(PathBuf::from).collect();
        names.sort();
        Ok(names)
    }
}

fn whole_number(text: String) -> Result<u64, NoAnswer> {
    let no = |_| NoAnswer::NotAsked(format!("`{text}` is no whole number, a gRPC field needs one"));
    text.trim().parse().map_err(no)
}
