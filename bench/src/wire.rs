//! The bare server: hyper answering the same bytes to every request. It shows what this machine's network stack and the
//! HTTP library can do at best, so that a real server can be told as a share of it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::Error;
use crate::connection::{Connection, Reply};
use crate::identity::{Endpoint, IssueBy, Login};
use crate::sealed::{self, SealedToken};

#[derive(clap::Args)]
pub(crate) struct RecordOptions {
    #[command(flatten)]
    login: Login,
    /// Record the validation of the first of these tokens, instead of the one that was issued.
    #[arg(long)]
    tokens: Option<PathBuf>,
    /// The file to write. It holds a valid token.
    #[arg(long)]
    output: PathBuf,
}

#[derive(clap::Args)]
pub(crate) struct ServeOptions {
    /// What `record` has written.
    #[arg(long)]
    file: PathBuf,
    #[arg(long, default_value = "127.0.0.1:5001")]
    listen: SocketAddr,
}

/// One issue, and the validation of the token that it issued.
#[derive(Serialize, Deserialize)]
pub(crate) struct Recording {
    issue: Recorded,
    validation: Recorded,
}

#[derive(Serialize, Deserialize)]
struct Recorded {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

/// Asks an endpoint once and keeps its answers.
pub(crate) async fn record(options: RecordOptions) -> Result<(), Error> {
    let sealed = options.tokens.as_deref().map(|path| sealed::read(path, 0, 1)).transpose()?;
    let recording = ask_once(&Endpoint::new(options.login)?, sealed.as_ref().and_then(|tokens| tokens.first())).await?;
    let attempt = format!("writing {}", options.output.display());
    std::fs::write(&options.output, serde_json::to_vec_pretty(&recording)?).map_err(Error::io(attempt))
}

/// Serves until the process is stopped.
pub(crate) async fn serve(options: ServeOptions) -> Result<(), Error> {
    let attempt = format!("reading {}", options.file.display());
    let recording = serde_json::from_slice(&std::fs::read(&options.file).map_err(Error::io(attempt))?)?;
    let attempt = format!("listening on {}", options.listen);
    let listener = TcpListener::bind(options.listen).await.map_err(Error::io(attempt))?;
    println!("listening on {}", listener.local_addr().map_err(Error::io("listening"))?);
    serve_on(listener, recording).await
}

pub(crate) async fn serve_on(listener: TcpListener, recording: Recording) -> Result<(), Error> {
    let answers = Arc::new((recording.issue.into_response()?, recording.validation.into_response()?));
    loop {
        let (stream, _) = listener.accept().await.map_err(Error::io("accepting"))?;
        stream.set_nodelay(true).map_err(Error::io("setting TCP_NODELAY"))?;
        let answers = Arc::clone(&answers);
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let (issue, validation) = &*answers;
                let answer = if request.method() == Method::POST { issue } else { validation };
                std::future::ready(Ok::<_, Infallible>(answer.clone()))
            });
            // How a client leaves is of no interest here; a broken reply shows in the load generator.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn ask_once(endpoint: &Endpoint, sealed: Option<&SealedToken>) -> Result<Recording, Error> {
    let mut connection = Connection::open(&endpoint.site.authority).await?;
    let issue = connection.exchange(|| endpoint.issue_by_password()).await?;
    let token = endpoint.check_issue(IssueBy::Password, &issue)?;
    let subject = sealed.map_or(&token.value, |sealed| &sealed.value);
    let validation = connection.exchange(|| endpoint.validate(&token.value, subject)).await?;
    match sealed {
        Some(sealed) => sealed.check(&validation.body)?,
        None => endpoint.check_validation(&token, &validation)?,
    }
    Ok(Recording { issue: Recorded::new(&issue), validation: Recorded::new(&validation) })
}

impl Recorded {
    fn new(reply: &Reply) -> Self {
        let headers = reply.headers.iter().filter(|(name, _)| !is_written_by_hyper(name));
        Self {
            status: reply.status.as_u16(),
            headers: headers
                .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
                .collect(),
            body: String::from_utf8_lossy(&reply.body).into_owned(),
        }
    }

    fn into_response(self) -> Result<Response<Full<Bytes>>, Error> {
        let refuse = |error: &dyn std::fmt::Display| Error::Usage(format!("recording: {error}"));
        let mut response = Response::new(Full::new(Bytes::from(self.body)));
        *response.status_mut() = StatusCode::from_u16(self.status).map_err(|error| refuse(&error))?;
        for (name, value) in self.headers {
            let name = HeaderName::try_from(name).map_err(|error| refuse(&error))?;
            let value = HeaderValue::try_from(value).map_err(|error| refuse(&error))?;
            response.headers_mut().append(name, value);
        }
        Ok(response)
    }
}

/// Headers that concern the connection or that the server adds itself.
fn is_written_by_hyper(name: &HeaderName) -> bool {
    [header::CONNECTION, header::CONTENT_LENGTH, header::DATE, header::TRANSFER_ENCODING, header::SERVER].contains(name)
        || name == "keep-alive"
}

#[cfg(test)]
pub(crate) mod tests {
    use http::HeaderMap;
    use http_body_util::BodyExt;
    use serde_json::json;

    use super::*;

    /// A token of the user "admin" in the project "admin".
    pub(crate) fn recording() -> Recording {
        let domain = json!({"id": "default", "name": "Default"});
        let body = json!({"token": {
            "user": {"id": "u1", "name": "admin", "domain": domain},
            "project": {"id": "p1", "name": "admin", "domain": domain},
            "methods": ["password"], "audit_ids": ["a1"], "expires_at": "2030-01-01T00:00:00.000000Z",
            "roles": [{"id": "r1", "name": "admin"}], "catalog": [],
        }})
        .to_string();
        let headers = vec![("X-Subject-Token".to_owned(), "gAAAA".to_owned())];
        Recording {
            issue: Recorded { status: 201, headers: headers.clone(), body: body.clone() },
            validation: Recorded { status: 200, headers, body },
        }
    }

    #[tokio::test]
    async fn recording_gives_back_what_was_recorded() {
        let headers = HeaderMap::from_iter([
            (header::VARY, HeaderValue::from_static("X-Auth-Token")),
            (header::CONNECTION, HeaderValue::from_static("close")),
        ]);
        let body = Bytes::from_static(b"{\"token\": {}}");
        let reply = Reply { status: StatusCode::CREATED, headers, body: body.clone() };
        let text = serde_json::to_string(&Recorded::new(&reply)).unwrap();
        let response = serde_json::from_str::<Recorded>(&text).unwrap().into_response().unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        assert_eq!(
            response.headers().iter().collect::<Vec<_>>(),
            [(&header::VARY, &HeaderValue::from_static("X-Auth-Token"))]
        );
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), body);
    }
}
