//! The client beside services that are late, refuse, or are something else.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::session::Session;
use super::*;
use crate::error;

/// What was asked, and how often somebody connected.
#[derive(Debug, Default)]
struct Seen {
    asked: Vec<String>,
    connections: usize,
    forwarded: bool,
}

type Shared = Arc<Mutex<Seen>>;

/// How a service answers: the method, the path, the token, and how many questions there were before.
type Answers = dyn Fn(&str, &str, &str, usize) -> (u16, String) + Send + Sync;

struct Service {
    address: SocketAddr,
    seen: Shared,
}

impl Service {
    async fn new(
        answers: impl Fn(&str, &str, &str, usize) -> (u16, String) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Shared::default());
        let (answers, kept): (Arc<Answers>, _) = (Arc::new(answers), Arc::clone(&seen));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                kept.lock().unwrap().connections += 1;
                let (answers, kept) = (Arc::clone(&answers), Arc::clone(&kept));
                let service = service_fn(move |request| {
                    let reply = reply(&*answers, &kept, &request);
                    async move {
                        // 299 is no answer at all.
                        if reply.status() == 299 {
                            std::future::pending::<()>().await;
                        }
                        Ok::<_, hyper::Error>(reply)
                    }
                });
                let builder = hyper::server::conn::http1::Builder::new();
                tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, seen }
    }

    /// One that gives `body` to everybody who has its token.
    async fn good(body: &str) -> Self {
        let body = body.to_owned();
        Self::new(move |method, _, token, _| match (method, token) {
            ("PUT", _) => (200, "TOKEN".to_owned()),
            (_, "TOKEN") => (200, body.clone()),
            _ => (401, String::new()),
        })
        .await
    }

    fn client(&self, budget: Duration) -> Imds {
        Imds::new(Some(&format!("http://{}", self.address)), budget).unwrap()
    }

    fn count(&self, what: &str) -> usize {
        self.seen.lock().unwrap().asked.iter().filter(|asked| asked.starts_with(what)).count()
    }
}

fn reply(answers: &Answers, seen: &Shared, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let (method, path) = (request.method().as_str(), request.uri().path());
    let mut seen = seen.lock().unwrap();
    seen.forwarded |= header("x-forwarded-for").is_some();
    let token = header("x-aws-ec2-metadata-token").unwrap_or_default();
    let (status, body) = answers(method, path, token, seen.asked.len());
    seen.asked.push(format!("{method} {path}"));
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status.try_into().unwrap();
    response
}

const SOON: Duration = Duration::from_secs(1);
const PATH: &str = "/2021-03-23/meta-data/x";

/// What a person reads of an error.
fn told<T: fmt::Debug>(end: anyhow::Result<T>) -> String {
    error::render(&end.unwrap_err())
}

#[tokio::test]
async fn many_requests_share_a_token_and_few_connections() {
    let service = Service::good("x").await;
    let imds = service.client(SOON);
    let all = (0..12).map(|_| imds.get(PATH, |_| {}));
    for text in futures::future::join_all(all).await {
        assert_eq!(text.unwrap().as_deref(), Some("x"));
    }
    assert_eq!((service.count("PUT /latest/api/token"), service.count("GET")), (1, 12));
    let seen = service.seen.lock().unwrap();
    assert!(seen.connections <= 4, "{seen:?}");
    assert!(!seen.forwarded, "whoever sends that is refused");
    assert!(!format!("{:?}", imds.session).contains("TOKEN"));
}

#[tokio::test]
async fn a_token_that_ends_midway_is_renewed_once() {
    let service = Service::new(|method, _, token, before| match (method, token) {
        ("PUT", _) => (200, format!("T{before}")),
        // The first token ends after two questions.
        (_, "T0") if before > 2 => (401, String::new()),
        _ => (200, token.to_owned()),
    })
    .await;
    let imds = service.client(SOON);
    for wanted in ["T0", "T0", "T4", "T4"] {
        assert_eq!(imds.get(PATH, |_| {}).await.unwrap().as_deref(), Some(wanted));
    }
    assert_eq!(service.count("PUT"), 2);
}

#[tokio::test]
async fn what_refuses_is_told_at_once_and_with_what_to_do() {
    let mut all = String::new();
    for (token, value) in [
        (403, 200),
        (404, 200),
        (401, 200),
        (400, 200),
        (200, 401),
        (200, 403),
        (200, 302),
        (200, 400),
    ] {
        let service = Service::new(move |method, _, _, _| {
            (if method == "PUT" { token } else { value }, "T".to_owned())
        })
        .await;
        let error = told(service.client(Duration::from_mins(1)).get(PATH, |_| {}).await);
        all += &format!("token {token}, value {value}:\n{error}");
        let repeated = service.count("");
        assert!(repeated <= 4, "{token} {value}: {repeated}");
    }
    insta::assert_snapshot!(all);
}

#[tokio::test]
async fn what_is_absent_is_no_error() {
    let service =
        Service::new(|method, _, _, _| (if method == "PUT" { 200 } else { 404 }, "T".into())).await;
    assert_eq!(service.client(SOON).get(PATH, |_| {}).await.unwrap(), None);
}

#[tokio::test]
async fn a_service_that_is_overloaded_for_a_third_of_the_budget_is_waited_for() {
    let began = Instant::now();
    let service = Service::new(move |method, _, _, _| match method {
        _ if began.elapsed() < Duration::from_secs(1) => (503, String::new()),
        "PUT" => (200, "T".to_owned()),
        _ => (200, "x".to_owned()),
    })
    .await;
    // A boot has 300 s; this is a hundredth of it.
    let mut said = Vec::new();
    let imds = service.client(Duration::from_secs(3));
    let text = imds.get(PATH, |cause| said.push(cause.to_owned())).await.unwrap();
    assert_eq!(text.as_deref(), Some("x"));
    assert!(said[0].ends_with(": HTTP 503"), "{said:?}");
    assert!(service.count("PUT") < 60, "it is not hammered: {}", service.count("PUT"));
}

#[tokio::test]
async fn a_service_that_is_silent_to_the_end_is_told_with_the_last_cause() {
    let overloaded = Service::new(|_, _, _, _| (503, String::new())).await;
    let silent = Service::new(|_, _, _, _| (299, String::new())).await;
    let closed = Service { address: closed().await, seen: Shared::default() };
    let mut all = String::new();
    for service in [overloaded, silent, closed] {
        let error = told(service.client(SOON).get(PATH, |_| {}).await);
        all += &error.replace(&service.address.to_string(), "[address]");
    }
    insta::assert_snapshot!(all);
}

#[tokio::test]
async fn an_answer_that_is_late_is_asked_for_again() {
    let service = Service::new(|method, _, _, before| match (method, before) {
        ("PUT", _) => (200, "T".to_owned()),
        (_, 1) => (299, String::new()),
        _ => (200, "x".to_owned()),
    })
    .await;
    let text = service.client(Duration::from_secs(20)).get(PATH, |_| {}).await.unwrap();
    assert_eq!((text.as_deref(), service.count("GET")), (Some("x"), 2));
}

#[tokio::test]
async fn something_else_that_answers_is_told_and_not_repeated() {
    const PAGE: &str = "<html><body>log in to the network: hunter2</body></html>";
    let mut all = String::new();
    let portal = Service::new(|_, _, _, _| (200, PAGE.to_owned())).await;
    all += &told(portal.client(SOON).document(|_| {}).await);
    for body in [PAGE, "{\"instanceId\": \"i-1\"}", "[]", "{\"hunter2"] {
        let service = Service::good(body).await;
        all += &told(service.client(SOON).document(|_| {}).await);
    }
    let service = Service::good(PAGE).await;
    all += &told(service.client(SOON).zone_id().await);
    assert!(!all.contains("hunter2"), "{all}");
    insta::assert_snapshot!(all);
}

/// An address at which nobody listens.
async fn closed() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// A client that knows several places.
fn racing(places: &[SocketAddr]) -> Imds {
    let wire = Wire::at(places.iter().map(ToString::to_string).collect());
    Imds::on(wire, BOOT_TTL, Duration::from_secs(10))
}

#[tokio::test]
async fn the_place_that_answers_first_is_remembered() {
    let (silent, good) =
        (Service::new(|_, _, _, _| (299, String::new())).await, Service::good("x").await);
    let imds = racing(&[silent.address, good.address]);
    for _ in 0..3 {
        assert_eq!(imds.get(PATH, |_| {}).await.unwrap().as_deref(), Some("x"));
    }
    assert_eq!((silent.count("PUT"), good.count("PUT"), good.count("GET")), (1, 1, 3));
}

#[tokio::test]
async fn where_both_answer_the_first_is_asked_alone() {
    let (first, second) = (Service::good("1").await, Service::good("2").await);
    let imds = racing(&[first.address, second.address]);
    assert_eq!(imds.get(PATH, |_| {}).await.unwrap().as_deref(), Some("1"));
    assert_eq!(second.count(""), 0);
}

#[tokio::test]
async fn a_place_that_is_not_there_costs_nothing() {
    let good = Service::good("x").await;
    let began = Instant::now();
    for places in [[closed().await, good.address], [good.address, closed().await]] {
        assert_eq!(racing(&places).get(PATH, |_| {}).await.unwrap().as_deref(), Some("x"));
    }
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_refusal_at_one_place_is_not_the_last_word() {
    let (off, good) =
        (Service::new(|_, _, _, _| (403, String::new())).await, Service::good("x").await);
    let imds = racing(&[off.address, good.address]);
    assert_eq!(imds.get(PATH, |_| {}).await.unwrap().as_deref(), Some("x"));
}

#[tokio::test]
async fn the_credentials_that_came_with_the_role_are_used_once() {
    let service = Service::new(|method, path, _, _| match (method, path) {
        ("PUT", _) => (200, "T".to_owned()),
        (_, "/latest/meta-data/iam/security-credentials/") => (200, "ci\n".to_owned()),
        _ => (
            200,
            r#"{"Code": "Success", "AccessKeyId": "AKIA", "SecretAccessKey": "s3cret",
                "Token": "t0ken", "Expiration": "2099-01-01T00:00:00Z"}"#
                .to_owned(),
        ),
    })
    .await;
    let imds = service.client(SOON);
    assert_eq!(imds.role().await.unwrap(), "ci");
    let first = imds.credentials("ci").await.unwrap().unwrap();
    assert_eq!((first.access_key_id(), first.session_token()), ("AKIA", Some("t0ken")));
    assert!(first.expiry().is_some());
    assert_eq!(service.count(""), 3, "{:?}", service.seen.lock().unwrap());
    imds.credentials("ci").await.unwrap().unwrap();
    assert_eq!(service.count(""), 4, "what was used once is asked for again");
    assert!(!format!("{first:?} {imds:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_role_without_credentials_is_told_why() {
    let mut all = String::new();
    for (list, document) in [
        ("", ""),
        ("ci", r#"{"Code": "AssumeRoleUnauthorizedAccess", "Message": "EC2 cannot assume"}"#),
        ("ci", r#"{"Code": "Success"}"#),
        ("ci", "<html>hunter2</html>"),
        ("../../x", ""),
    ] {
        let service = Service::new(move |method, path, _, _| match (method, path) {
            ("PUT", _) => (200, "T".to_owned()),
            (_, path) if path.ends_with('/') => (200, list.to_owned()),
            _ => (200, document.to_owned()),
        })
        .await;
        all += &told(service.client(Duration::from_millis(300)).role().await);
    }
    assert!(!all.contains("hunter2"), "{all}");
    insta::assert_snapshot!(all);
}

#[tokio::test]
async fn tags_are_listed_and_may_not_be_there() {
    let service = Service::new(|method, path, _, _| match (method, path) {
        ("PUT", _) => (200, "T".to_owned()),
        (_, "/2021-03-23/meta-data/tags/instance") => (200, "Name\nhostkit:pool".to_owned()),
        (_, "/2021-03-23/meta-data/tags/instance/hostkit:pool") => (200, "linux".to_owned()),
        _ => (404, String::new()),
    })
    .await;
    let imds = service.client(SOON);
    let names = imds.tags().await.unwrap().unwrap();
    assert_eq!(names, ["Name", "hostkit:pool"]);
    assert_eq!(imds.tag("hostkit:pool").await.unwrap().as_deref(), Some("linux"));
    assert_eq!(imds.tag("hostkit:other").await.unwrap(), None);
    let session = Session::new(Wire::at(vec![service.address.to_string()]), BOOT_TTL);
    assert!(matches!(session.get("/latest/absent").await, Verdict::Absent));
}
