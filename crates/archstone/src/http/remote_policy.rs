//! Asks another server what a policy rule leaves to it (`http:` and `https:` checks).
//!
//! **Invariant:** only a reply counts. A server that cannot be reached, or not within `remote_timeout`, makes the
//! request fail: taking silence for "no" would be "yes" below a `not`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use archstone_core::authz::AskRemote;
use archstone_core::authz::policy::{RemoteCheck, RemoteContentType, is_allowed};
use archstone_core::config::{OsloPolicySection, RemoteContentType as ConfiguredType};
use archstone_core::error::{Error, Result};
use futures::future::BoxFuture;
use http::{Request, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The longest reply that is read; the only one that allows has four letters.
const MAX_REPLY: usize = 64 * 1024;

/// What went wrong on the way, of many kinds.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The client for remote checks, as `[oslo_policy] remote_*` configures it.
pub(crate) struct RemotePolicy {
    content_type: RemoteContentType,
    timeout: Duration,
    tls: TlsConnector,
}

impl RemotePolicy {
    /// Reads the certificates that the configuration names.
    pub(crate) fn new(section: &OsloPolicySection) -> Result<Self, Failure> {
        Ok(Self {
            content_type: match section.remote_content_type {
                ConfiguredType::Form => RemoteContentType::Form,
                ConfiguredType::Json => RemoteContentType::Json,
            },
            timeout: Duration::try_from_secs_f64(section.remote_timeout)
                .map_err(|error| format!("[oslo_policy] remote_timeout: {error}"))?,
            tls: TlsConnector::from(Arc::new(tls_config(section)?)),
        })
    }

    async fn send(&self, check: &RemoteCheck) -> Result<String, Failure> {
        let uri: Uri = check.url.parse()?;
        let authority = uri.authority().ok_or("the URL names no host")?;
        if authority.as_str().contains('@') {
            return Err("a user or password in the URL is not supported".into());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let secure = uri.scheme_str() == Some("https");
        let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let request = Request::post(uri.path_and_query().map_or("/", |path| path.as_str()))
            .header(header::HOST, authority.as_str())
            .header(header::CONTENT_TYPE, self.content_type.as_str())
            .body(Full::new(Bytes::from(check.body(self.content_type))))?;
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        if secure {
            let name = ServerName::try_from(host)?;
            exchange(self.tls.connect(name, stream).await?, request).await
        } else {
            exchange(stream, request).await
        }
    }
}

impl AskRemote for RemotePolicy {
    fn ask<'a>(&'a self, check: &'a RemoteCheck) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let failed = |why: &dyn std::fmt::Display| {
                Error::unavailable(format!("asking {} about {}: {why}", check.url, check.rule))
            };
            match tokio::time::timeout(self.timeout, self.send(check)).await {
                Ok(Ok(reply)) => Ok(is_allowed(&reply)),
                Ok(Err(error)) => Err(failed(&error)),
                Err(elapsed) => Err(failed(&elapsed)),
            }
        })
    }
}

/// One request on a connection of its own; the text of the reply, whatever its status, as in the reference.
async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<String, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let reply = async {
        let response = sender.send_request(request).await?;
        let body = Limited::new(response.into_body(), MAX_REPLY).collect().await?.to_bytes();
        Ok::<_, Failure>(String::from_utf8_lossy(&body).into_owned())
    };
    tokio::pin!(reply);
    // The connection makes the exchange move; it may end before the body was looked at.
    tokio::select! {
        reply = &mut reply => reply,
        ended = connection => {
            ended?;
            reply.await
        }
    }
}

fn tls_config(section: &OsloPolicySection) -> Result<ClientConfig, Failure> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = if section.remote_ssl_verify_server_crt {
        let mut roots = RootCertStore::empty();
        match &section.remote_ssl_ca_crt_file {
            Some(file) => {
                for certificate in CertificateDer::pem_file_iter(file).map_err(|error| in_file(file, &error))? {
                    roots.add(certificate.map_err(|error| in_file(file, &error))?)?;
                }
            }
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        }
        builder.with_root_certificates(roots)
    } else {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
    };
    let (Some(certificate), Some(key)) = (&section.remote_ssl_client_crt_file, &section.remote_ssl_client_key_file)
    else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| in_file(certificate, &error))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| in_file(key, &error))?;
    Ok(builder.with_client_auth_cert(chain, key)?)
}

fn in_file(file: &std::path::Path, error: &dyn std::fmt::Display) -> Failure {
    io::Error::other(format!("[oslo_policy] reading {}: {error}", file.display())).into()
}

/// Takes any certificate: `remote_ssl_verify_server_crt` is false unless somebody sets it. The server must still hold
/// the key of the certificate that it shows.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use archstone_core::config::Config;
    use rustls::ServerConfig;
    use serde_json::Map;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    fn section() -> OsloPolicySection {
        Config::default().oslo_policy.clone()
    }

    fn test_file(name: &str) -> PathBuf {
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/testdata")).join(name)
    }

    fn question(url: String) -> RemoteCheck {
        RemoteCheck { url, rule: "identity:get_user".to_owned(), target: Map::new(), credentials: Map::new() }
    }

    async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, reply: &str) -> String {
        let mut request = Vec::new();
        while !request.ends_with(b"credentials=%7B%7D") {
            let mut part = [0; 1024];
            match stream.read(&mut part).await {
                Ok(0) | Err(_) => break,
                Ok(read) => request.extend_from_slice(&part[..read]),
            }
        }
        let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{reply}", reply.len());
        stream.write_all(text.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        String::from_utf8(request).unwrap()
    }

    async fn ask_plain(reply: &str) -> (Result<bool>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let check = question(format!("http://{}/ask?a=b", listener.local_addr().unwrap()));
        let remote = RemotePolicy::new(&section()).unwrap();
        let server = async { answer(listener.accept().await.unwrap().0, reply).await };
        tokio::join!(remote.ask(&check), server)
    }

    async fn ask_tls(section: &OsloPolicySection) -> Result<bool> {
        let certificate = CertificateDer::from_pem_file(test_file("localhost.crt")).unwrap();
        let key = PrivateKeyDer::from_pem_file(test_file("localhost.key")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let check = question(format!("https://localhost:{}/", listener.local_addr().unwrap().port()));
        let remote = RemotePolicy::new(section).unwrap();
        let server = async {
            // A client that does not trust us hangs up.
            if let Ok(stream) = acceptor.accept(listener.accept().await.unwrap().0).await {
                answer(stream, "True").await;
            }
        };
        tokio::join!(remote.ask(&check), server).0
    }

    #[tokio::test]
    async fn only_true_allows() {
        let (allowed, request) = ask_plain("True").await;
        assert!(allowed.unwrap());
        assert!(request.starts_with("POST /ask?a=b HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("content-type: application/x-www-form-urlencoded\r\n"), "{request}");
        assert!(request.ends_with("rule=%22identity%3Aget_user%22&target=%7B%7D&credentials=%7B%7D"), "{request}");
        assert!(!ask_plain("False").await.0.unwrap());
    }

    #[tokio::test]
    async fn silence_is_an_error_and_not_an_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let check = question(format!("http://{}/", listener.local_addr().unwrap()));
        let hasty = RemotePolicy::new(&OsloPolicySection { remote_timeout: 0.05, ..section() }).unwrap();
        assert!(hasty.ask(&check).await.is_err());
        drop(listener);
        let error = RemotePolicy::new(&section()).unwrap().ask(&check).await.unwrap_err();
        assert!(error.detail_text().contains(&check.url), "{}", error.detail_text());
    }

    #[tokio::test]
    async fn certificates_are_checked_if_that_is_asked_for() {
        assert!(ask_tls(&section()).await.unwrap());
        let strict = OsloPolicySection { remote_ssl_verify_server_crt: true, ..section() };
        assert!(ask_tls(&strict).await.is_err());
        let trusting = OsloPolicySection { remote_ssl_ca_crt_file: Some(test_file("localhost.crt")), ..strict };
        assert!(ask_tls(&trusting).await.unwrap());
    }
}
