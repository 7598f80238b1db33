//! The metadata service, AWS and Jenkins of a guarded host, over their real wire protocols, served by
//! a thread of their own: children that speak to AWS are threads here, and block the test.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

pub(super) const INSTANCE: &str = "i-0bbbbbbbbbbbbbbbb";
pub(super) const TARGET_GROUP: &str =
    "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/ci/0123456789abcdef";

/// What the cloud is like; a test changes it while the guard runs.
#[derive(Debug)]
pub(super) struct Cloud {
    /// What the metadata service has, below `/latest/`.
    pub(super) metadata: BTreeMap<String, String>,
    /// The metadata service answers with this status.
    pub(super) broken: Option<u16>,
    /// The place in the group; none: in no group.
    pub(super) lifecycle: Option<&'static str>,
    /// The names of the terminate hooks.
    pub(super) hooks: Vec<&'static str>,
    /// The health checks of the group.
    pub(super) checks: &'static str,
    /// This operation is denied.
    pub(super) denied: Option<&'static str>,
    /// So often the hook does not wait yet.
    pub(super) inactive: u32,
    /// The next answers to the last word of a host: its group does not wait any more.
    pub(super) lost: bool,
    /// What a hook heard at the end, and whether the home was released then.
    pub(super) verdicts: Vec<(String, bool)>,
    /// How often it was asked for more time.
    pub(super) beats: u32,
    /// What was written into parameters.
    pub(super) parameters: Vec<(String, String)>,
    /// How often the group was told that the host is unhealthy.
    pub(super) unhealthy: u32,
    /// The target groups that the host was taken from.
    pub(super) left: Vec<String>,
    /// Whether the home is released, as the test's systemd says.
    pub(super) released: bool,
    /// The moment of the release.
    pub(super) released_at: Option<Instant>,
    pub(super) jenkins: Jenkins,
}

/// The Jenkins of the host.
#[derive(Debug, Default)]
pub(super) struct Jenkins {
    pub(super) up: bool,
    pub(super) quiet: bool,
    pub(super) message: Option<String>,
    /// Freestyle builds that run.
    pub(super) builds: u32,
    /// Pipelines that run.
    pub(super) pipelines: u32,
    /// It does not say anything.
    pub(super) mute: bool,
}

impl Default for Cloud {
    fn default() -> Self {
        let metadata = [
            ("meta-data/autoscaling/target-lifecycle-state", "InService"),
            ("meta-data/instance-life-cycle", "spot"),
            ("meta-data/tags/instance/aws:autoscaling:groupName", "ci"),
            ("meta-data/iam/security-credentials/", "role"),
        ];
        let credentials = serde_json::json!({
            "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "AKIATEST",
            "SecretAccessKey": "s", "Token": "t", "LastUpdated": "2026-11-20T00:00:00Z",
            "Expiration": "2099-01-01T00:00:00Z",
        });
        let mut metadata: BTreeMap<_, _> =
            metadata.map(|(path, value)| (path.to_owned(), value.to_owned())).into();
        let role = "meta-data/iam/security-credentials/role".to_owned();
        metadata.insert(role, credentials.to_string());
        Self {
            metadata,
            broken: None,
            lifecycle: Some("InService"),
            hooks: vec!["drain"],
            checks: "EC2",
            denied: None,
            inactive: 0,
            lost: false,
            verdicts: Vec::new(),
            beats: 0,
            parameters: Vec::new(),
            unhealthy: 0,
            left: Vec::new(),
            released: false,
            released_at: None,
            jenkins: Jenkins { up: true, ..Jenkins::default() },
        }
    }
}

pub(super) type Shared = Arc<Mutex<Cloud>>;

/// Serves `cloud` as long as the tests run: where AWS and the metadata service are, and Jenkins.
pub(super) fn serve(cloud: &Shared) -> (SocketAddr, SocketAddr) {
    let (sender, receiver) = mpsc::channel();
    let cloud = Arc::clone(cloud);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let aws = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let web = TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send((aws.local_addr().unwrap(), web.local_addr().unwrap())).unwrap();
            loop {
                let (stream, is_aws) = tokio::select! {
                    accepted = aws.accept() => (accepted.unwrap().0, true),
                    accepted = web.accept() => (accepted.unwrap().0, false),
                };
                let cloud = Arc::clone(&cloud);
                let service = service_fn(move |request| {
                    let cloud = Arc::clone(&cloud);
                    async move { Ok::<_, hyper::Error>(answer(&cloud, request, is_aws).await) }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
    });
    receiver.recv().unwrap()
}

async fn answer(cloud: &Shared, request: Request<Incoming>, is_aws: bool) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let path = head.uri.path().to_owned();
    let mute = cloud.lock().unwrap().jenkins.mute;
    if !is_aws && mute {
        std::future::pending::<()>().await;
    }
    let mut cloud = cloud.lock().unwrap();
    if !is_aws {
        let query = head.uri.query().unwrap_or_default();
        return cloud.jenkins.answer(head.method.as_str(), &path, query, header("authorization"));
    }
    if let Some(path) = path.strip_prefix("/latest/").or_else(|| path.strip_prefix("/2021-03-23/"))
    {
        return match (cloud.broken, cloud.metadata.get(path)) {
            (Some(status), _) => reply(status, ""),
            _ if head.method == "PUT" => reply(200, "TOKEN"),
            (None, Some(value)) => reply(200, value.clone()),
            (None, None) => reply(404, ""),
        };
    }
    assert!(header("authorization").is_some_and(|it| it.contains("Credential=AKIATEST/")));
    if header("x-amz-target").is_some() {
        return cloud.put_parameter(&body);
    }
    let form: BTreeMap<_, _> = form_urlencoded::parse(&body).into_owned().collect();
    cloud.query(&form)
}

fn reply(status: u16, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    let headers = response.headers_mut();
    headers.insert("x-aws-ec2-metadata-token-ttl-seconds", "21600".parse().unwrap());
    headers.insert("x-jenkins", "2.541".parse().unwrap());
    response
}

impl Jenkins {
    fn answer(
        &mut self,
        method: &str,
        path: &str,
        query: &str,
        authorization: Option<&str>,
    ) -> Response<Full<Bytes>> {
        if !self.up {
            return reply(503, "");
        }
        if path == "/login" {
            return reply(200, "");
        }
        assert!(authorization.is_some_and(|it| it.starts_with("Basic ")), "{path}");
        match (method, path) {
            ("GET", "/api/json") => {
                reply(200, serde_json::json!({"quietingDown": self.quiet}).to_string())
            }
            ("GET", "/computer/api/json") => {
                let executor = |class: &str, name: String| {
                    serde_json::json!({"idle": false, "currentExecutable": {
                        "_class": class, "url": format!("http://ci/job/{name}/"),
                    }})
                };
                let freestyle = (0..self.builds)
                    .map(|n| executor("hudson.model.FreeStyleBuild", format!("app{n}")));
                let pipelines = (0..self.pipelines).map(|n| {
                    let class = "org.jenkinsci.plugins.workflow.job.WorkflowRun";
                    executor(class, format!("pipe{n}"))
                });
                let node = serde_json::json!({
                    "displayName": "agent-1", "offline": false,
                    "executors": freestyle.collect::<Vec<_>>(),
                    "oneOffExecutors": pipelines.collect::<Vec<_>>(),
                });
                reply(200, serde_json::json!({"computer": [node]}).to_string())
            }
            ("POST", "/quietDown") => {
                self.quiet = true;
                let mut pairs = form_urlencoded::parse(query.as_bytes());
                self.message = pairs.find(|(key, _)| key == "message").map(|it| it.1.into_owned());
                reply(200, "")
            }
            ("POST", "/cancelQuietDown") => {
                self.quiet = false;
                reply(200, "")
            }
            other => panic!("Jenkins was asked for {other:?}"),
        }
    }
}

impl Cloud {
    fn put_parameter(&mut self, body: &[u8]) -> Response<Full<Bytes>> {
        let request: serde_json::Value = serde_json::from_slice(body).unwrap();
        if self.denied == Some("PutParameter") {
            let denied = serde_json::json!({"__type": "AccessDeniedException", "message": "no"});
            return reply(400, denied.to_string());
        }
        let text = |key: &str| request[key].as_str().unwrap().to_owned();
        self.parameters.push((text("Name"), text("Value")));
        reply(200, serde_json::json!({"Version": self.parameters.len()}).to_string())
    }

    fn query(&mut self, form: &BTreeMap<String, String>) -> Response<Full<Bytes>> {
        let action = form["Action"].as_str();
        if self.denied == Some(action) {
            let error = "<Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message>";
            return reply(403, format!("<ErrorResponse><Error>{error}</Error></ErrorResponse>"));
        }
        let inactive = "<ErrorResponse><Error><Code>ValidationError</Code><Message>No active \
            Lifecycle Action found</Message></Error></ErrorResponse>";
        let result = match action {
            "DescribeAutoScalingInstances" => self.lifecycle.map_or_else(
                || "<AutoScalingInstances/>".to_owned(),
                |state| {
                    format!(
                        "<AutoScalingInstances><member><InstanceId>{INSTANCE}</InstanceId>\
                         <AutoScalingGroupName>ci</AutoScalingGroupName>\
                         <LifecycleState>{state}</LifecycleState></member></AutoScalingInstances>"
                    )
                },
            ),
            "DescribeLifecycleHooks" => {
                let hook = |name: &&str| {
                    format!(
                        "<member><LifecycleHookName>{name}</LifecycleHookName>\
                         <AutoScalingGroupName>ci</AutoScalingGroupName><LifecycleTransition>\
                         autoscaling:EC2_INSTANCE_TERMINATING</LifecycleTransition>\
                         <HeartbeatTimeout>30</HeartbeatTimeout></member>"
                    )
                };
                let hooks: String = self.hooks.iter().map(hook).collect();
                format!("<LifecycleHooks>{hooks}</LifecycleHooks>")
            }
            "DescribeAutoScalingGroups" => format!(
                "<AutoScalingGroups><member><AutoScalingGroupName>ci</AutoScalingGroupName>\
                 <HealthCheckType>{}</HealthCheckType><TargetGroupARNs><member>{TARGET_GROUP}\
                 </member></TargetGroupARNs></member></AutoScalingGroups>",
                self.checks
            ),
            "RecordLifecycleActionHeartbeat" => {
                self.beats += 1;
                String::new()
            }
            "CompleteLifecycleAction" => {
                if self.inactive > 0 {
                    self.inactive -= 1;
                    return reply(400, inactive);
                }
                if self.lost {
                    self.lifecycle = Some("Terminating:Proceed");
                    return reply(400, inactive);
                }
                self.verdicts.push((form["LifecycleActionResult"].clone(), self.released));
                self.lifecycle = Some("Terminating:Proceed");
                String::new()
            }
            "DeregisterTargets" => {
                assert!(self.jenkins.up, "first of all");
                self.left.push(form["TargetGroupArn"].clone());
                String::new()
            }
            "DescribeTargetGroups" => String::new(),
            other => panic!("the guard asked for {other}"),
        };
        let result = format!("<{action}Result>{result}</{action}Result>");
        reply(200, format!("<{action}Response>{result}</{action}Response>"))
    }
}
