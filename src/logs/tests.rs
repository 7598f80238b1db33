//! The shipping of a journal, against a local server that speaks the wire of CloudWatch Logs and of
//! the metadata service. Only `journalctl` is scripted.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;

use super::{Place, ship};
use crate::event::{Event, Events, Listener};
use crate::sys::runner::Script;

const BOOT: &str = "7e2d7f2c-3f0f-4d0a-9e51-6a3a1d1f0002";
const INSTANCE: &str = "i-0bbbbbbbbbbbbbbbb";

/// What the server has heard, and what it will answer instead of what is asked.
#[derive(Debug, Default)]
struct Heard {
    calls: Vec<String>,
    streams: Vec<String>,
    messages: Vec<Value>,
    /// Codes with which the next calls are refused.
    refusals: Vec<&'static str>,
}

type Shared = Arc<Mutex<Heard>>;

async fn serve(heard: Shared) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let heard = Arc::clone(&heard);
            tokio::spawn(async move {
                let Some((head, body)) = request(&mut stream).await else { return };
                let (status, text) = answer(&heard, &head, &body);
                let response = format!(
                    "HTTP/1.1 {status} X\r\nContent-Type: application/x-amz-json-1.1\r\n\
                     x-aws-ec2-metadata-token-ttl-seconds: 21600\r\n\
                     Content-Length: {}\r\nConnection: close\r\n\r\n{text}",
                    text.len()
                );
                let _ = stream.write_all(response.as_bytes()).await;
            });
        }
    });
    format!("http://{address}")
}

async fn request(stream: &mut tokio::net::TcpStream) -> Option<(String, Vec<u8>)> {
    let mut all = Vec::new();
    loop {
        if stream.read_buf(&mut all).await.ok()? == 0 {
            return None;
        }
        let Some(end) = all.windows(4).position(|it| it == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&all[..end]).to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        if all.len() >= end + 4 + length {
            return Some((head, all[end + 4..].to_vec()));
        }
    }
}

fn answer(heard: &Shared, head: &str, body: &[u8]) -> (u16, String) {
    let path = head.split_whitespace().nth(1).unwrap_or_default();
    match path {
        "/latest/api/token" => return (200, "token".to_owned()),
        "/latest/meta-data/iam/security-credentials/" => return (200, "role".to_owned()),
        "/latest/meta-data/iam/security-credentials/role" => {
            let keys = json!({
                "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "ASIAX",
                "SecretAccessKey": "of-the-role-itself", "Token": "session",
                "LastUpdated": "2026-01-01T00:00:00Z", "Expiration": "2099-01-01T00:00:00Z",
            });
            return (200, keys.to_string());
        }
        _ => {}
    }
    let mut heard = heard.lock().unwrap();
    let action = head.lines().find_map(|line| line.strip_prefix("x-amz-target: logs_20140328."));
    let action = action.unwrap_or(path).to_owned();
    heard.calls.push(action.clone());
    if let Some(code) = heard.refusals.pop() {
        let status = if code == "ServiceUnavailableException" { 503 } else { 400 };
        return (status, json!({ "__type": code, "message": "not now" }).to_string());
    }
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    match action.as_str() {
        "createlogstream" => {
            let name = body["logStreamName"].as_str().unwrap().to_owned();
            if heard.streams.contains(&name) {
                let text =
                    json!({ "__type": "ResourceAlreadyExistsException", "message": "it is" });
                return (400, text.to_string());
            }
            heard.streams.push(name);
        }
        "putlogevents" => {
            assert_eq!(
                (&body["logGroupName"], &body["logStreamName"]),
                (&json!("ci"), &json!(INSTANCE))
            );
            let events = body["logEvents"].as_array().unwrap();
            let times: Vec<_> = events.iter().map(|it| it["timestamp"].as_i64().unwrap()).collect();
            assert!(times.is_sorted(), "{times:?}");
            let text = |event: &Value| serde_json::from_str(event["message"].as_str().unwrap());
            heard.messages.extend(events.iter().map(|event| text(event).unwrap()));
        }
        other => panic!("{other}"),
    }
    (200, "{}".to_owned())
}

/// A host whose journal is `lines`.
struct Host {
    _directory: tempfile::TempDir,
    root: Utf8PathBuf,
    place: Place,
    script: Arc<Mutex<Script>>,
    heard: Shared,
}

impl Host {
    async fn new(lines: &[String]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(directory.path()).unwrap().to_owned();
        let heard = Shared::default();
        let address = serve(Arc::clone(&heard)).await;
        let put = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("proc/sys/kernel/random/boot_id", BOOT);
        put("run/hostkit/secrets/admin_password", "correct-horse-battery");
        put("run/hostkit/identity.json", &identity());
        let endpoint = format!("[aws]\nendpoint_url = \"{address}\"\n");
        put(
            "run/hostkit/host.toml",
            &format!("role = \"agent\"\n{endpoint}[logs]\ngroup = \"ci\"\n"),
        );
        fs::create_dir_all(root.join("var/lib/hostkit")).unwrap();
        let (runner, script) = Script::default().answer("journalctl", &lines.join("\n")).runner();
        let place = Place {
            root: root.clone(),
            runner,
            imds: Some(address),
            patience: Duration::from_millis(50),
            second: Duration::from_millis(10),
        };
        Self { _directory: directory, root, place, script, heard }
    }

    /// Ships until `done`, then stops.
    async fn ship_until(&self, done: impl Fn(&Self) -> bool) -> Listener {
        let (events, listener) = Events::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let asked = async move {
            let _ = stopped.await;
        };
        let work = ship(self.place.clone(), events, asked);
        let watch = async {
            while !done(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            stop.send(()).unwrap();
            Ok(())
        };
        let both = async { tokio::try_join!(work, watch) };
        let end = tokio::time::timeout(Duration::from_mins(1), both).await;
        let ((), ()) = end.expect("it ends").unwrap();
        listener
    }

    fn cursor(&self) -> String {
        let text = fs::read_to_string(self.root.join("var/lib/hostkit/logs.cursor"));
        text.unwrap_or_default().trim().to_owned()
    }

    fn messages(&self) -> Vec<Value> {
        self.heard.lock().unwrap().messages.clone()
    }
}

fn identity() -> String {
    json!({
        "instance_id": INSTANCE, "account_id": "123456789012", "region": "eu-west-1",
        "availability_zone": "eu-west-1a", "availability_zone_id": "euw1-az1",
        "image_id": "ami-1", "private_ip": "10.0.2.15", "hostname": "ip-10-0-2-15",
        "boot_id": BOOT,
    })
    .to_string()
}

fn line(number: i64, message: &str) -> String {
    json!({
        "__CURSOR": format!("s=1;i={number}"),
        "__REALTIME_TIMESTAMP": (1_700_000_000_000_000 + number * 1000).to_string(),
        "MESSAGE": message, "PRIORITY": "6", "_SYSTEMD_UNIT": "jenkins.service",
    })
    .to_string()
}

#[tokio::test]
async fn a_journal_is_shipped_in_order_and_without_secrets() {
    let bytes = json!({
        "__CURSOR": "s=1;i=4", "__REALTIME_TIMESTAMP": "1699999999000000", "PRIORITY": "3",
        "MESSAGE": [112, 61, 255], "_SYSTEMD_UNIT": "hostkit-boot.service",
        "STEP": "efs", "HOSTKIT_OUTCOME": "failed",
    });
    let host = Host::new(&[
        line(1, "admin logs in with correct-horse-battery"),
        "{\"cut".to_owned(),
        line(2, ""),
        line(3, "Authorization: Basic YWRtaW46eA=="),
        bytes.to_string(),
    ])
    .await;
    host.ship_until(|host| host.cursor() == "s=1;i=4").await;
    let told: Vec<_> = host.messages().iter().map(Value::to_string).collect();
    insta::assert_snapshot!(told.join("\n"));
    assert_eq!(host.heard.lock().unwrap().streams, [INSTANCE]);
    let seen = host.script.lock().unwrap().seen();
    assert!(
        seen[0].contains("--boot") && seen[0].contains("_SYSTEMD_UNIT=jenkins.service"),
        "{seen:?}"
    );
    assert!(!seen[0].contains("hostkit-logs"), "it does not follow itself");
}

#[tokio::test]
async fn what_was_shipped_is_not_shipped_again() {
    let host = Host::new(&[line(1, "one")]).await;
    host.ship_until(|host| host.cursor() == "s=1;i=1").await;
    host.heard.lock().unwrap().calls.clear();
    host.ship_until(|host| host.script.lock().unwrap().seen().len() == 2).await;
    let seen = host.script.lock().unwrap().seen();
    assert!(seen[1].contains("--after-cursor=s=1;i=1"), "{seen:?}");
}

#[tokio::test]
async fn while_aws_is_away_nothing_is_lost_and_it_is_said_once() {
    let host = Host::new(&[line(1, "one"), line(2, "two")]).await;
    host.heard.lock().unwrap().refusals = vec!["ServiceUnavailableException"; 12];
    let mut listener = host.ship_until(|host| host.cursor() == "s=1;i=2").await;
    assert_eq!(host.messages().len(), 2);
    let mut said = Vec::new();
    while let Some(Event::Log { line, .. }) = listener.recv().await {
        said.push(line);
    }
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("entries wait in the journal: logs:"), "{said:?}");
}

#[tokio::test]
async fn a_group_that_is_missing_is_named_with_what_to_do() {
    let host = Host::new(&[line(1, "one")]).await;
    host.heard.lock().unwrap().refusals = vec!["ResourceNotFoundException"];
    let mut listener = host.ship_until(|host| host.cursor() == "s=1;i=1").await;
    let Some(Event::Log { line, .. }) = listener.recv().await else { panic!("it is said") };
    insta::assert_snapshot!(line);
}
