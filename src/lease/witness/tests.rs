//! Questions to a server that speaks the wire of the metadata service, EC2 and Auto Scaling.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::{SignedDuration, Timestamp};
use tokio::net::TcpListener;

use super::*;
use crate::host::LeasePolicy;
use crate::lease::record::{Launch, Task};

const ME: &str = "i-0bbbbbbbbbbbbbbbb";
const THEM: &str = "i-0aaaaaaaaaaaaaaaa";
const GROUP: &str = "jenkins";

/// What AWS is like.
#[derive(Debug)]
struct Cloud {
    /// What `DescribeInstances` answers, or refuses with.
    described: Result<String, (u16, &'static str, &'static str)>,
    /// Where the group has the instance; none where it may not be asked.
    lifecycle: Option<&'static str>,
    terminated: Result<(), (u16, &'static str, &'static str)>,
    /// How far its clock is ahead of ours.
    ahead: SignedDuration,
    has_role: bool,
    asked: Vec<String>,
}

impl Default for Cloud {
    fn default() -> Self {
        Self {
            described: Ok(instance("running", "<configured>false</configured>", GROUP)),
            lifecycle: Some("InService"),
            terminated: Ok(()),
            ahead: SignedDuration::ZERO,
            has_role: true,
            asked: Vec::new(),
        }
    }
}

/// An instance in the words of EC2.
fn instance(state: &str, hibernation: &str, group: &str) -> String {
    format!(
        "<item><instanceId>{THEM}</instanceId><instanceState><name>{state}</name></instanceState>\
         <launchTime>2026-11-20T03:00:00.000Z</launchTime>\
         <hibernationOptions>{hibernation}</hibernationOptions>\
         <tagSet><item><key>aws:autoscaling:groupName</key><value>{group}</value></item></tagSet>\
         </item>"
    )
}

impl Cloud {
    fn answer(&mut self, path: &str, form: &BTreeMap<String, String>) -> (u16, String) {
        if let Some(path) = path.strip_prefix("/latest/") {
            return self.metadata(path);
        }
        let action = form["Action"].as_str();
        self.asked.push(format!(
            "{action} {}{}",
            form.get("InstanceId.1").or_else(|| form.get("InstanceIds.member.1")).unwrap(),
            form.get("SkipOsShutdown")
                .map(|it| format!(" SkipOsShutdown={it}"))
                .unwrap_or_default()
        ));
        let refuse = |(status, code, message): (u16, &str, &str)| {
            let error = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
            (status, format!("<Response><Errors>{error}</Errors></Response>"))
        };
        match action {
            "DescribeInstances" => match &self.described {
                Ok(item) => (
                    200,
                    format!(
                        "<DescribeInstancesResponse><reservationSet><item><instancesSet>{item}\
                     </instancesSet></item></reservationSet></DescribeInstancesResponse>"
                    ),
                ),
                Err(refusal) => refuse(*refusal),
            },
            "DescribeAutoScalingInstances" => match self.lifecycle {
                Some(state) => (
                    200,
                    format!(
                        "<DescribeAutoScalingInstancesResponse><DescribeAutoScalingInstancesResult>\
                     <AutoScalingInstances><member><InstanceId>{THEM}</InstanceId>\
                     <AutoScalingGroupName>{GROUP}</AutoScalingGroupName>\
                     <LifecycleState>{state}</LifecycleState></member></AutoScalingInstances>\
                     </DescribeAutoScalingInstancesResult></DescribeAutoScalingInstancesResponse>"
                    ),
                ),
                None => (
                    403,
                    "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"
                        .to_owned(),
                ),
            },
            "TerminateInstances" => match self.terminated {
                Ok(()) => (200, "<TerminateInstancesResponse/>".to_owned()),
                Err(refusal) => refuse(refusal),
            },
            other => panic!("{other}"),
        }
    }

    fn metadata(&self, path: &str) -> (u16, String) {
        match path {
            "api/token" => (200, "TOKEN".to_owned()),
            "meta-data/iam/security-credentials/" if !self.has_role => (404, String::new()),
            "meta-data/iam/security-credentials/" => (200, "role".to_owned()),
            "meta-data/iam/security-credentials/role" => (
                200,
                serde_json::json!({
                    "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "AKIATEST",
                    "SecretAccessKey": "secret", "Token": "token",
                    "LastUpdated": "2026-11-20T00:00:00Z", "Expiration": "2099-01-01T00:00:00Z",
                })
                .to_string(),
            ),
            other => panic!("{other}"),
        }
    }
}

async fn reply(cloud: &Mutex<Cloud>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let form = form_urlencoded::parse(&body).into_owned().collect();
    let mut cloud = cloud.lock().unwrap();
    let (status, text) = cloud.answer(head.uri.path(), &form);
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    let headers = response.headers_mut();
    headers.insert("x-aws-ec2-metadata-token-ttl-seconds", "21600".parse().unwrap());
    let now = (Timestamp::now() + cloud.ahead).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    headers.insert("date", now.parse().unwrap());
    response
}

async fn serve(cloud: Arc<Mutex<Cloud>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let cloud = Arc::clone(&cloud);
            let service = service_fn(move |request| {
                let cloud = Arc::clone(&cloud);
                async move { Ok::<_, hyper::Error>(reply(&cloud, request).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
    address
}

fn host(id: &str) -> Holder {
    Holder {
        fs_id: "fs-0123456789abcdef0".to_owned(),
        region: "eu-west-1".to_owned(),
        account: "123456789012".to_owned(),
        instance_id: Some(id.to_owned()),
        task: None,
        boot_id: "boot".to_owned(),
        launched: None,
        ami: None,
        hostkit: None,
        since: None,
    }
}

fn order(address: SocketAddr) -> Order {
    Order {
        me: host(ME),
        mount_point: "/var/lib/jenkins".into(),
        policy: LeasePolicy::Stonith,
        patience: 120,
        group: Some(GROUP.to_owned()),
        endpoint_url: Some(format!("http://{address}")),
        imds: Some(format!("http://{address}")),
    }
}

/// What is answered to an errand, and what AWS was asked.
async fn send(cloud: Cloud, errand: Errand) -> (Testimony, Vec<String>) {
    let cloud = Arc::new(Mutex::new(cloud));
    let order = order(serve(Arc::clone(&cloud)).await);
    let testimony = testify(&Question { order, errand }).await;
    let asked = std::mem::take(&mut cloud.lock().unwrap().asked);
    (testimony, asked)
}

async fn about(cloud: Cloud) -> Word {
    match send(cloud, Errand::About(Box::new(host(THEM)))).await.0 {
        Testimony::Word(word) => word,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_ec2_says_is_told_whole() {
    let Word::Instance(seen) = about(Cloud::default()).await else { panic!() };
    let told = Instance {
        state: InstanceState::Running,
        hibernates: false,
        launched: Some("2026-11-20T03:00:00Z".parse().unwrap()),
        group: Some(GROUP.to_owned()),
        lifecycle: Some("InService".to_owned()),
    };
    assert_eq!(seen, told);
    for (state, expected) in [
        ("shutting-down", InstanceState::ShuttingDown),
        ("terminated", InstanceState::Terminated),
        ("stopped", InstanceState::Stopped),
        ("dreaming", InstanceState::Other("dreaming".to_owned())),
    ] {
        let cloud = Cloud { described: Ok(instance(state, "", GROUP)), ..Cloud::default() };
        let Word::Instance(seen) = about(cloud).await else { panic!() };
        assert_eq!(seen.state, expected);
        assert!(seen.hibernates, "it is not said that it does not");
    }
}

#[tokio::test]
async fn the_state_in_the_group_may_be_missing() {
    let Word::Instance(seen) = about(Cloud { lifecycle: None, ..Cloud::default() }).await else {
        panic!()
    };
    assert_eq!((seen.state, seen.lifecycle), (InstanceState::Running, None));
}

#[tokio::test]
async fn only_ec2_itself_says_that_an_instance_is_not_known() {
    let unknown = (400, "InvalidInstanceID.NotFound", "The instance ID does not exist");
    let word = about(Cloud { described: Err(unknown), ..Cloud::default() }).await;
    assert_eq!(word, Word::NotFound { age: None });
    let other = instance("running", "", GROUP).replace(THEM, ME);
    for described in [String::new(), other] {
        let word = about(Cloud { described: Ok(described), ..Cloud::default() }).await;
        assert!(matches!(word, Word::Silent(_)), "{word:?}");
    }
}

#[tokio::test]
async fn a_refusal_is_told_with_what_helps() {
    let mut told = String::new();
    let none = SignedDuration::ZERO;
    for (refusal, ahead) in [
        (
            (
                403,
                "UnauthorizedOperation",
                "You are not authorized to perform this operation. User: \
            arn:aws:sts::123456789012:assumed-role/role/i-1 is not authorized to perform: \
            ec2:DescribeInstances because no identity-based policy allows it",
            ),
            none,
        ),
        (
            (401, "AuthFailure", "AWS was not able to validate the provided access credentials"),
            none,
        ),
        ((400, "RequestExpired", "Request has expired."), none),
        ((400, "RequestExpired", "Request has expired."), SignedDuration::from_hours(5)),
        ((403, "SignatureDoesNotMatch", "Signature expired"), SignedDuration::from_mins(-30)),
        ((400, "InvalidInstanceID.Malformed", "Invalid id"), none),
    ] {
        let cloud = Cloud { described: Err(refusal), ahead, ..Cloud::default() };
        told += &format!("{:?}\n", about(cloud).await);
    }
    insta::assert_snapshot!(told);
}

#[tokio::test]
async fn silence_is_never_an_answer() {
    let overload = (503, "Unavailable", "The service is unavailable. Please try again shortly.");
    let word = about(Cloud { described: Err(overload), ..Cloud::default() }).await;
    assert!(matches!(word, Word::Silent(_)), "{word:?}");

    // Nobody is there any more.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut order = order(serve(Arc::default()).await);
    order.endpoint_url = Some(format!("http://{}", listener.local_addr().unwrap()));
    drop(listener);
    let errand = Errand::About(Box::new(host(THEM)));
    let Testimony::Word(word) = testify(&Question { order, errand }).await else { panic!() };
    assert!(matches!(word, Word::Silent(_)), "{word:?}");
}

#[tokio::test]
async fn a_task_is_not_asked_about_yet() {
    let arn = "arn:aws:ecs:eu-west-1:123456789012:task/builds/0123".to_owned();
    let task = Some(Task { arn, launch: Launch::Fargate });
    let holder = Holder { task, instance_id: None, ..host(THEM) };
    for errand in [Errand::About(Box::new(holder.clone())), Errand::Terminate(Box::new(holder))] {
        let (testimony, asked) = send(Cloud::default(), errand).await;
        let refused =
            matches!(testimony, Testimony::Word(Word::Silent(_)) | Testimony::Failed { .. });
        assert!(refused && asked.is_empty(), "{testimony:?} {asked:?}");
    }
}

#[tokio::test]
async fn only_an_instance_of_the_own_group_is_terminated() {
    let end = |holder: &str| Errand::Terminate(Box::new(host(holder)));
    let (testimony, asked) = send(Cloud::default(), end(THEM)).await;
    assert_eq!(testimony, Testimony::Done);
    let all = [
        format!("DescribeInstances {THEM}"),
        format!("DescribeAutoScalingInstances {THEM}"),
        format!("TerminateInstances {THEM} SkipOsShutdown=true"),
    ];
    assert_eq!(asked, all);

    let mine = instance("running", "", GROUP).replace(THEM, ME);
    let untagged = instance("running", "", GROUP).replace("aws:autoscaling:groupName", "group");
    for (described, holder) in
        [(instance("running", "", "other"), THEM), (untagged, THEM), (mine, ME)]
    {
        let cloud = Cloud { described: Ok(described), ..Cloud::default() };
        let (testimony, asked) = send(cloud, end(holder)).await;
        assert!(matches!(testimony, Testimony::Failed { .. }), "{testimony:?}");
        assert_eq!(asked, [format!("DescribeInstances {holder}")]);
    }
    for lifecycle in [None, Some("Terminating:Wait")] {
        let cloud = Cloud { lifecycle, ..Cloud::default() };
        let (testimony, asked) = send(cloud, end(THEM)).await;
        assert!(matches!(testimony, Testimony::Failed { .. }), "{testimony:?}");
        assert!(!asked.iter().any(|call| call.starts_with("Terminate")), "{asked:?}");
    }
    let denied =
        (403, "UnauthorizedOperation", "You are not authorized to perform this operation.");
    let cloud = Cloud { terminated: Err(denied), ..Cloud::default() };
    let (Testimony::Failed { why, .. }, _) = send(cloud, end(THEM)).await else { panic!() };
    assert!(why.contains("ec2:TerminateInstances"), "{why}");
}

#[test]
fn a_question_and_its_answer_survive_the_pipe() {
    let order = order(([127, 0, 0, 1], 1).into());
    let question = Question { order, errand: Errand::About(Box::new(host(THEM))) };
    let json = serde_json::to_value(&question).unwrap();
    assert!(json["order"].is_object() && json["about"].is_object(), "{json}");
    assert_eq!(serde_json::from_value::<Question>(json).unwrap(), question);
    let testimony = Testimony::Word(Word::NotFound { age: None });
    let json = serde_json::to_string(&testimony).unwrap();
    assert_eq!(serde_json::from_str::<Testimony>(&json).unwrap(), testimony);
}

#[tokio::test]
async fn a_child_that_fails_is_silence() {
    use crate::sys::runner::Script;
    let order = order(([127, 0, 0, 1], 1).into());
    let hangs = || {
        let mut script = Script::default();
        script.hang("hostkit inner witness");
        script
    };
    let scripts = [
        Script::default(),
        Script::default().answer("hostkit inner witness", "{\"done\""),
        Script::default().answer("hostkit inner witness", "\"done\""),
        Script::default().fail("hostkit inner witness", 101, "panicked"),
        hangs(),
    ];
    for script in scripts {
        let runner = script.runner().0;
        let word = ask(&runner, &order, &host(THEM)).await;
        assert!(matches!(word, Word::Silent(_)), "{word:?}");
    }
    let runner = Script::default().answer("hostkit inner witness", "\"done\"").runner().0;
    assert!(terminate(&runner, &order, &host(THEM)).await.is_ok());
}
