//! How the engine's calls reach the account: a gate that counts those that change something, and at
//! one of them kills the process, loses the answer, or has AWS say that it has too much to do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use hostkit::sim::account::REGION;
use hostkit::sim::cloud::Cloud;

/// What becomes of one call that changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The process is killed before it is sent.
    KilledBefore,
    /// The process is killed when it is done, before the answer is there.
    KilledAfter,
    /// It is not done: AWS has too much to do.
    Throttled,
    /// It is done, and the answer is lost.
    AnswerLost,
    /// The credentials have expired: neither this call is done nor any other, to look or to change.
    Expired,
}

impl Fate {
    pub(crate) const ALL: [Self; 4] =
        [Self::KilledBefore, Self::KilledAfter, Self::Throttled, Self::AnswerLost];

    pub(crate) const fn kills(self) -> bool {
        matches!(self, Self::KilledBefore | Self::KilledAfter)
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    address: String,
    fate: Option<(usize, Fate)>,
    effects: Arc<Mutex<Vec<String>>>,
    pub(crate) killed: Arc<Notify>,
    dead: Arc<AtomicBool>,
    expired: Arc<AtomicBool>,
    overtaken: Arc<Mutex<Option<Overtaken>>>,
}

/// Somebody else writes a parameter just before a call that changes something is sent.
#[derive(Clone, Debug)]
struct Overtaken {
    by: SdkConfig,
    at: usize,
    name: String,
    text: String,
}

impl Gate {
    /// One that does `fate` to the call of that number.
    pub(crate) fn new(cloud: &Cloud, fate: Option<(usize, Fate)>) -> Self {
        Self {
            address: cloud.url.trim_start_matches("http://").to_owned(),
            fate,
            effects: Arc::default(),
            killed: Arc::default(),
            dead: Arc::default(),
            expired: Arc::default(),
            overtaken: Arc::default(),
        }
    }

    /// Somebody else writes this just before the call of that number.
    pub(crate) fn overtaken(cloud: &Cloud, at: usize, name: &str, text: &str) -> Self {
        let gate = Self::new(cloud, None);
        let (name, text) = (name.to_owned(), text.to_owned());
        let by = Self::new(cloud, None).config(cloud);
        *gate.overtaken.lock().unwrap() = Some(Overtaken { by, at, name, text });
        gate
    }

    /// Whether it is time for that.
    fn is_overtaken(&self) -> Option<Overtaken> {
        let effects = self.effects.lock().unwrap().len();
        self.overtaken.lock().unwrap().take_if(|it| it.at + 1 == effects)
    }

    /// How AWS is called through it. The SDK tries nothing twice: the engine has to.
    pub(crate) fn config(&self, cloud: &Cloud) -> SdkConfig {
        let keys = &cloud.credentials;
        let credentials = Credentials::new(
            &keys.access_key,
            &keys.secret_key,
            keys.session.clone(),
            None,
            "a test",
        );
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(&cloud.url)
            .retry_config(RetryConfig::disabled())
            .http_client(self.clone())
            .build()
    }

    /// The calls that changed something, or were to.
    pub(crate) fn effects(&self) -> Vec<String> {
        self.effects.lock().unwrap().clone()
    }

    /// The fate of a call, where it has one.
    fn fate(&self, request: &HttpRequest) -> Option<Fate> {
        let name = operation(request);
        if name.starts_with("Describe") || name.starts_with("Get") {
            return None;
        }
        let mut effects = self.effects.lock().unwrap();
        effects.push(name);
        let (at, fate) = self.fate?;
        (at + 1 == effects.len()).then_some(fate)
    }
}

/// `PutParameter`, `StartInstanceRefresh`, …
fn operation(request: &HttpRequest) -> String {
    if let Some(target) = request.headers().get("x-amz-target") {
        return target.rsplit('.').next().unwrap_or_default().to_owned();
    }
    let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
    let action = body.split('&').find_map(|pair| pair.strip_prefix("Action="));
    action.unwrap_or_default().to_owned()
}

impl HttpClient for Gate {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Gate {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let gate = self.clone();
        HttpConnectorFuture::new(async move {
            let fate = gate.fate(&request);
            if gate.dead.load(Ordering::SeqCst) {
                return std::future::pending().await;
            }
            if let Some(Overtaken { by, name, text, .. }) = gate.is_overtaken() {
                hostkit::aws::ssm::write(&by, &name, &text).await.unwrap();
            }
            if fate == Some(Fate::Expired) {
                gate.expired.store(true, Ordering::SeqCst);
            }
            if gate.expired.load(Ordering::SeqCst) {
                return Ok(expired(&request));
            }
            match fate {
                None => send(&gate.address, &request).await,
                Some(Fate::Throttled) => {
                    let status = 503_u16.try_into().unwrap();
                    Ok(HttpResponse::new(status, SdkBody::empty()))
                }
                Some(Fate::AnswerLost) => {
                    send(&gate.address, &request).await?;
                    Err(ConnectorError::io("the connection was lost".into()))
                }
                Some(fate) => {
                    if fate == Fate::KilledAfter {
                        send(&gate.address, &request).await?;
                    }
                    gate.dead.store(true, Ordering::SeqCst);
                    gate.killed.notify_one();
                    std::future::pending().await
                }
            }
        })
    }
}

/// What each of AWS's protocols says to credentials that have expired.
fn expired(request: &HttpRequest) -> HttpResponse {
    let says = "The security token included in the request is expired";
    let asked = String::from_utf8_lossy(request.body().bytes().unwrap_or_default());
    let body = if request.headers().get("x-amz-target").is_some() {
        format!(r#"{{"__type":"ExpiredTokenException","message":"{says}"}}"#)
    } else if asked.contains("Version=2016-11-15") {
        let error = format!("<Code>RequestExpired</Code><Message>{says}</Message>");
        format!("<Response><Errors><Error>{error}</Error></Errors></Response>")
    } else {
        let error = format!("<Code>ExpiredToken</Code><Message>{says}</Message>");
        format!("<ErrorResponse><Error><Type>Sender</Type>{error}</Error></ErrorResponse>")
    };
    HttpResponse::new(400_u16.try_into().unwrap(), SdkBody::from(body))
}

async fn send(address: &str, request: &HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let lost = |error: Box<dyn std::error::Error + Send + Sync>| ConnectorError::io(error);
    let stream = TcpStream::connect(address).await.map_err(|error| lost(error.into()))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| lost(error.into()))?;
    tokio::spawn(connection);
    let path = request.uri().trim_start_matches("http://").trim_start_matches(address);
    let path = if path.is_empty() { "/" } else { path };
    let mut builder = hyper::Request::builder().method(request.method()).uri(path);
    for (name, value) in request.headers() {
        builder = builder.header(name, value);
    }
    if request.headers().get("host").is_none() {
        builder = builder.header("host", address);
    }
    let body = Bytes::copy_from_slice(request.body().bytes().unwrap_or_default());
    let request = builder.body(Full::new(body)).map_err(|error| lost(error.into()))?;
    let answer = sender.send_request(request).await.map_err(|error| lost(error.into()))?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map_err(|error| lost(error.into()))?.to_bytes();
    let mut response =
        HttpResponse::new(head.status.as_u16().try_into().unwrap(), SdkBody::from(body));
    for (name, value) in &head.headers {
        let value = value.to_str().unwrap_or_default().to_owned();
        response.headers_mut().append(name.as_str().to_owned(), value);
    }
    Ok(response)
}
