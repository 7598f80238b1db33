//! The metadata service and the AWS operations of a boot, over their real wire protocols.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::container_service::{self, Cluster};

pub(super) const INSTANCE: &str = "i-0bbbbbbbbbbbbbbbb";
/// A key of nobody's, and its public half.
pub(super) use crate::keys::private::tests::KEY as PRIVATE_KEY;
pub(super) const PASSWORD: &str = "correct horse";
pub(super) const LOGIN_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKOMjvgYcvA0vR5g7ePQkT7Y+d8iD26/jktXHHbXWE9d me";

/// What this cloud is like; a test changes it before or between boots.
#[derive(Debug)]
pub(super) struct Cloud {
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) user_data: Option<Vec<u8>>,
    /// The image of the instance.
    pub(super) image: &'static str,
    /// How far AWS's clock is ahead of this machine's, where so far that it takes no signature.
    pub(super) ahead: Option<jiff::SignedDuration>,
    /// The tags of the instance; without any they are not given away.
    pub(super) tags: BTreeMap<String, String>,
    /// Requests for a token are answered with this status where it is not 200.
    pub(super) token_status: u16,
    /// `None`: not in a group.
    pub(super) lifecycle_state: Option<String>,
    pub(super) holder_state: &'static str,
    pub(super) denied: Option<&'static str>,
    /// Parameters that were asked for.
    pub(super) read: Vec<String>,
    /// What Parameter Store refuses a call with that names one of these parameters: code, message.
    pub(super) refused: BTreeMap<&'static str, (&'static str, &'static str)>,
    /// Parameters that are plain `String`s.
    pub(super) plain: Vec<&'static str>,
    /// Answers of Parameter Store end too early.
    pub(super) truncated: bool,
    /// The next answers to an operation or a metadata path: statuses; then it answers well.
    pub(super) hiccups: BTreeMap<&'static str, Vec<u16>>,
    /// How often the launch hook is not active yet.
    pub(super) inactive: u32,
    /// The group beyond its hook, and its load balancer.
    pub(super) balancer: super::balancer::Balancer,
    /// The mount targets of every file system.
    pub(super) targets: Vec<Target>,
    /// The zone of a file system that is in one only.
    pub(super) one_zone: Option<&'static str>,
    /// EFS may not be asked.
    pub(super) efs_denied: bool,
    /// Everything that was asked: IMDS paths, AWS operations.
    pub(super) asked: Vec<String>,
    /// What the hook was told.
    pub(super) verdicts: Vec<String>,
    /// The instances of the groups of build agents, with their lifecycle states.
    pub(super) groups: BTreeMap<&'static str, Vec<(&'static str, &'static str)>>,
    /// Instances that run, with their addresses and tags.
    pub(super) machines: Vec<Machine>,
    /// What the group wants this host to be, where the metadata service says it.
    pub(super) target: Option<&'static str>,
    pub(super) cluster: Cluster,
    /// The refreshes of the group, the newest first: id, status, and since when.
    pub(super) refreshes: Vec<(&'static str, &'static str, jiff::Timestamp)>,
    /// How long an answer of the metadata service takes, and one of AWS.
    pub(super) latency: Option<(Duration, Duration)>,
}

/// An instance: its id, its address and its tags.
pub(super) type Machine = (&'static str, Option<&'static str>, Vec<(&'static str, &'static str)>);

impl Default for Cloud {
    fn default() -> Self {
        let parameters = [
            ("/devops-tools/jenkins/id_rsa", PRIVATE_KEY),
            ("/devops-tools/jenkins/id_rsa.pub", LOGIN_KEY),
            ("/devops-tools/jenkins/admin_password", PASSWORD),
        ];
        Self {
            parameters: parameters.map(|(name, value)| (name.into(), value.into())).into(),
            user_data: None,
            image: "ami-1",
            ahead: None,
            tags: BTreeMap::new(),
            token_status: 200,
            lifecycle_state: Some("Pending:Wait".to_owned()),
            holder_state: "running",
            denied: None,
            read: Vec::new(),
            refused: BTreeMap::new(),
            plain: Vec::new(),
            truncated: false,
            hiccups: BTreeMap::new(),
            inactive: 0,
            balancer: super::balancer::Balancer::default(),
            targets: vec![Target::new("fsmt-1", "euw1-az1")],
            one_zone: None,
            efs_denied: false,
            asked: Vec::new(),
            verdicts: Vec::new(),
            groups: BTreeMap::new(),
            machines: Vec::new(),
            target: None,
            cluster: Cluster::default(),
            refreshes: Vec::new(),
            latency: None,
        }
    }
}

/// A mount target.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) id: &'static str,
    pub(super) zone: &'static str,
    pub(super) address: &'static str,
    pub(super) state: &'static str,
}

impl Target {
    pub(super) const fn new(id: &'static str, zone: &'static str) -> Self {
        Self { id, zone, address: "127.0.0.1", state: "available" }
    }
}

pub(super) type Shared = Arc<Mutex<Cloud>>;

/// Serves `cloud` as long as the test runs.
pub(super) async fn serve(cloud: Shared) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let cloud = Arc::clone(&cloud);
            let service = service_fn(move |request| {
                let cloud = Arc::clone(&cloud);
                async move { Ok::<_, hyper::Error>(answer(&cloud, request).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
    address
}

async fn answer(cloud: &Shared, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let latency = cloud.lock().unwrap().latency;
    if let Some((metadata, api)) = latency {
        let of_metadata = request.uri().path().starts_with("/latest/");
        tokio::time::sleep(if of_metadata { metadata } else { api }).await;
    }
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let mut cloud = cloud.lock().unwrap();
    // What does not change is asked for in a pinned schema.
    let path = head.uri.path().replacen("/2021-03-23/", "/latest/", 1);
    if path.starts_with("/latest/") {
        let token = header("x-aws-ec2-metadata-token").map(str::to_owned);
        return cloud.metadata(head.method.as_str(), &path, token.as_deref());
    }
    if let Some(ahead) = cloud.ahead {
        return unsigned(jiff::Timestamp::now() + ahead);
    }
    assert!(header("authorization").is_some_and(|it| it.contains("Credential=AKIATEST/")));
    if let Some(path) = path.strip_prefix("/2015-02-01/") {
        return cloud.file_systems(path, head.uri.query().unwrap_or_default());
    }
    if let Some(target) = header("x-amz-target") {
        if let Some(operation) = target.strip_prefix(container_service::TARGET) {
            return cloud.container_service(operation, &body);
        }
        assert_eq!(target, "AmazonSSM.GetParameters");
        return cloud.parameters(&body);
    }
    let form: BTreeMap<_, _> = form_urlencoded::parse(&body).into_owned().collect();
    cloud.query(&form)
}

fn reply(status: u16, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    if status == 200 {
        let ttl = "21600".parse().unwrap();
        response.headers_mut().insert("x-aws-ec2-metadata-token-ttl-seconds", ttl);
    }
    response
}

/// What AWS says to a signature of another time, in all its protocols at once.
fn unsigned(now: jiff::Timestamp) -> Response<Full<Bytes>> {
    let mut response = reply(
        403,
        "<ErrorResponse><Error><Type>Sender</Type><Code>SignatureDoesNotMatch</Code><Message>\
         Signature expired</Message></Error></ErrorResponse>",
    );
    let date = jiff::fmt::rfc2822::to_string(&now.to_zoned(jiff::tz::TimeZone::UTC)).unwrap();
    response.headers_mut().insert("date", date.parse().unwrap());
    response
}

impl Cloud {
    fn metadata(&mut self, method: &str, path: &str, token: Option<&str>) -> Response<Full<Bytes>> {
        self.asked.push(path.to_owned());
        if method == "PUT" {
            return reply(self.token_status, "TOKEN");
        }
        if token != Some("TOKEN") {
            return reply(401, "");
        }
        if let Some(status) = self.hiccup(path) {
            return reply(status, "");
        }
        let text = match path.strip_prefix("/latest/").unwrap() {
            "dynamic/instance-identity/document" => serde_json::json!({
                "instanceId": INSTANCE, "accountId": "123456789012", "region": "eu-west-1",
                "availabilityZone": "eu-west-1a", "imageId": self.image, "privateIp": "10.0.2.15",
                "pendingTime": "2026-11-20T00:00:00Z",
            })
            .to_string(),
            "meta-data/placement/availability-zone-id" => "euw1-az1".to_owned(),
            "meta-data/mac" => "02:00:00:00:00:01".to_owned(),
            "meta-data/network/interfaces/macs/02:00:00:00:00:01/security-group-ids" => {
                "sg-0aaaaaaaaaaaaaaaa".to_owned()
            }
            "meta-data/local-hostname" => "ip-10-0-2-15.eu-west-1.compute.internal".to_owned(),
            "meta-data/public-keys/" => "0=me".to_owned(),
            "meta-data/public-keys/0/openssh-key" => LOGIN_KEY.to_owned(),
            "meta-data/iam/security-credentials/" => "role".to_owned(),
            "meta-data/iam/security-credentials/role" => serde_json::json!({
                "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "AKIATEST",
                "SecretAccessKey": "s", "Token": "t", "LastUpdated": "2026-11-20T00:00:00Z",
                "Expiration": "2099-01-01T00:00:00Z",
            })
            .to_string(),
            "meta-data/autoscaling/target-lifecycle-state" if self.target.is_some() => {
                self.target.unwrap().to_owned()
            }
            "meta-data/instance-life-cycle" => "on-demand".to_owned(),
            "meta-data/tags/instance" if !self.tags.is_empty() => {
                self.tags.keys().cloned().collect::<Vec<_>>().join("\n")
            }
            tag if tag.starts_with("meta-data/tags/instance/") => {
                match self.tags.get(tag.trim_start_matches("meta-data/tags/instance/")) {
                    Some(value) => value.clone(),
                    None => return reply(404, ""),
                }
            }
            "user-data" if self.user_data.is_some() => {
                return reply(200, self.user_data.clone().unwrap());
            }
            _ => return reply(404, ""),
        };
        reply(200, text)
    }

    fn container_service(&mut self, operation: &str, body: &[u8]) -> Response<Full<Bytes>> {
        self.asked.push(operation.to_owned());
        let (status, answer) =
            self.cluster.answer(operation, &serde_json::from_slice(body).unwrap());
        reply(status, answer.to_string())
    }

    fn hiccup(&mut self, what: &str) -> Option<u16> {
        self.hiccups.get_mut(what).and_then(Vec::pop)
    }

    fn parameters(&mut self, body: &[u8]) -> Response<Full<Bytes>> {
        self.asked.push("GetParameters".to_owned());
        let request: serde_json::Value = serde_json::from_slice(body).unwrap();
        assert_eq!(request["WithDecryption"], true);
        if let Some(status) = self.hiccup("GetParameters") {
            return reply(status, "");
        }
        let names = request["Names"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
        let names: Vec<_> = names.collect();
        self.read.extend(names.iter().map(|name| (*name).to_owned()));
        if let Some((code, message)) = names.iter().find_map(|name| self.refused.get(name)) {
            return reply(400, serde_json::json!({"__type": code, "message": message}).to_string());
        }
        let (found, missing): (Vec<_>, Vec<_>) =
            names.into_iter().partition(|name| self.parameters.contains_key(*name));
        let found = found.iter().map(|name| {
            let kind = if self.plain.contains(name) { "String" } else { "SecureString" };
            let (bare, selector) =
                name.split_once(':').map_or((*name, None), |it| (it.0, Some(it.1)));
            let selector = selector.map(|it| format!(":{it}"));
            let value = &self.parameters[*name];
            serde_json::json!({"Name": bare, "Selector": selector, "Type": kind, "Value": value})
        });
        let answer = serde_json::json!({
            "Parameters": found.collect::<Vec<_>>(), "InvalidParameters": missing,
        });
        let mut text = answer.to_string();
        if self.truncated {
            text.truncate(text.len() - 6);
        }
        reply(200, text)
    }

    fn file_systems(&mut self, path: &str, query: &str) -> Response<Full<Bytes>> {
        let action = match path.trim_end_matches('/') {
            "mount-targets" => "DescribeMountTargets",
            "file-systems" => "DescribeFileSystems",
            _ => "DescribeMountTargetSecurityGroups",
        };
        self.asked.push(action.to_owned());
        if let Some(status) = self.hiccup(action) {
            return reply(status, "{\"message\":\"later\"}");
        }
        if self.efs_denied {
            let denied = serde_json::json!({"__type": "AccessDeniedException", "Message": "no"});
            return reply(403, denied.to_string());
        }
        let id = query.strip_prefix("FileSystemId=").unwrap_or_default();
        let answer = match action {
            "DescribeMountTargets" => serde_json::json!({
                "MountTargets": self.targets.iter().map(|target| serde_json::json!({
                    "MountTargetId": target.id, "FileSystemId": id, "SubnetId": "subnet-1",
                    "LifeCycleState": target.state, "IpAddress": target.address,
                    "AvailabilityZoneId": target.zone,
                })).collect::<Vec<_>>(),
            }),
            "DescribeFileSystems" => serde_json::json!({"FileSystems": [{
                "OwnerId": "123456789012", "CreationToken": "x", "FileSystemId": id,
                "CreationTime": 1_700_000_000, "LifeCycleState": "available",
                "NumberOfMountTargets": 1, "SizeInBytes": {"Value": 1},
                "PerformanceMode": "generalPurpose", "Tags": [],
                "AvailabilityZoneName": self.one_zone,
            }]}),
            _ => serde_json::json!({"SecurityGroups": ["sg-0bbbbbbbbbbbbbbbb"]}),
        };
        reply(200, answer.to_string())
    }

    fn query(&mut self, form: &BTreeMap<String, String>) -> Response<Full<Bytes>> {
        let action = form["Action"].as_str();
        self.asked.push(action.to_owned());
        if self.denied == Some(action) {
            let error = "<Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message>";
            return reply(403, format!("<ErrorResponse><Error>{error}</Error></ErrorResponse>"));
        }
        if let Some(status) = self.hiccup(action) {
            return reply(status, "");
        }
        if let Some((status, body)) = self.balancer.answer(form, &mut self.lifecycle_state) {
            return reply(status, body);
        }
        if action == "CompleteLifecycleAction" && self.inactive > 0 {
            self.inactive -= 1;
            let error = "<Code>ValidationError</Code><Message>No active Lifecycle Action found\
                </Message>";
            return reply(400, format!("<ErrorResponse><Error>{error}</Error></ErrorResponse>"));
        }
        let result = match action {
            "DescribeAutoScalingInstances" => self.lifecycle_state.as_ref().map_or_else(
                || "<AutoScalingInstances/>".to_owned(),
                |state| {
                    format!(
                        "<AutoScalingInstances><member><InstanceId>{INSTANCE}</InstanceId>\
                         <AutoScalingGroupName>ci</AutoScalingGroupName>\
                         <AvailabilityZone>eu-west-1a</AvailabilityZone>\
                         <LifecycleState>{state}</LifecycleState><HealthStatus>HEALTHY</HealthStatus>\
                         <ProtectedFromScaleIn>false</ProtectedFromScaleIn>\
                         </member></AutoScalingInstances>"
                    )
                },
            ),
            "DescribeLifecycleHooks" => "<LifecycleHooks><member>\
                <LifecycleHookName>launch</LifecycleHookName>\
                <AutoScalingGroupName>ci</AutoScalingGroupName>\
                <LifecycleTransition>autoscaling:EC2_INSTANCE_LAUNCHING</LifecycleTransition>\
                <HeartbeatTimeout>1</HeartbeatTimeout></member></LifecycleHooks>"
                .to_owned(),
            "CompleteLifecycleAction" => {
                assert_eq!(form["LifecycleHookName"], "launch");
                self.verdicts.push(form["LifecycleActionResult"].clone());
                let warm = self.lifecycle_state.as_ref().is_some_and(|it| it.starts_with("Warmed:"));
                let next = if warm { "Warmed:Stopped" } else { "InService" };
                self.lifecycle_state = Some(next.to_owned());
                String::new()
            }
            "DescribeAutoScalingGroups" => self.auto_scaling_groups(form),
            "DescribeInstanceRefreshes" => self.instance_refreshes(form),
            "DescribeInstances" if form.contains_key("Filter.1.Name") => {
                return reply(200, self.instances(form));
            }
            "DescribeInstances" => {
                let state = format!("<code>16</code><name>{}</name>", self.holder_state);
                return reply(
                    200,
                    format!(
                        "<DescribeInstancesResponse><reservationSet><item><instancesSet><item>\
                         <instanceId>i-0aaaaaaaaaaaaaaaa</instanceId>\
                         <instanceState>{state}</instanceState></item></instancesSet></item>\
                         </reservationSet></DescribeInstancesResponse>"
                    ),
                );
            }
            "RecordLifecycleActionHeartbeat" => String::new(),
            other => panic!("the boot asked for {other}"),
        };
        reply(
            200,
            format!(
                "<{action}Response><{action}Result>{result}</{action}Result></{action}Response>"
            ),
        )
    }

    fn auto_scaling_groups(&self, form: &BTreeMap<String, String>) -> String {
        let named = |name: &str| {
            let mut all = form.iter().filter(|(key, _)| key.contains("GroupNames"));
            all.any(|(_, value)| value == name)
        };
        let member = |(id, state): &(&str, &str)| {
            format!(
                "<member><InstanceId>{id}</InstanceId><LifecycleState>{state}</LifecycleState>\
                 <AvailabilityZone>eu-west-1a</AvailabilityZone><HealthStatus>Healthy</HealthStatus>\
                 <ProtectedFromScaleIn>false</ProtectedFromScaleIn></member>"
            )
        };
        let groups = self.groups.iter().filter(|(name, _)| named(name));
        let groups = groups.map(|(name, members)| {
            let members: String = members.iter().map(member).collect();
            format!(
                "<member><AutoScalingGroupName>{name}</AutoScalingGroupName><MinSize>0</MinSize>\
                 <MaxSize>9</MaxSize><DesiredCapacity>1</DesiredCapacity>\
                 <DefaultCooldown>300</DefaultCooldown><HealthCheckType>EC2</HealthCheckType>\
                 <CreatedTime>2026-11-20T00:00:00Z</CreatedTime>\
                 <AvailabilityZones/><Instances>{members}</Instances></member>"
            )
        });
        format!("<AutoScalingGroups>{}</AutoScalingGroups>", groups.collect::<String>())
    }

    fn instance_refreshes(&self, form: &BTreeMap<String, String>) -> String {
        assert_eq!(form["AutoScalingGroupName"], "ci");
        let refreshes = self.refreshes.iter().map(|(id, status, started)| {
            format!(
                "<member><InstanceRefreshId>{id}</InstanceRefreshId><Status>{status}</Status>\
                 <AutoScalingGroupName>ci</AutoScalingGroupName>\
                 <StartTime>{started}</StartTime></member>"
            )
        });
        format!("<InstanceRefreshes>{}</InstanceRefreshes>", refreshes.collect::<String>())
    }

    fn instances(&self, form: &BTreeMap<String, String>) -> String {
        assert_eq!(form["Filter.2.Value.1"], "running");
        let wanted: Vec<_> = form
            .iter()
            .filter(|(key, _)| key.starts_with("Filter.1.Value."))
            .map(|(_, value)| value.as_str())
            .collect();
        let by_tag = form["Filter.1.Name"] == "tag:hostkit:pool";
        let fits = |(id, _, tags): &&Machine| {
            let pool = tags.iter().find(|(key, _)| *key == "hostkit:pool").map(|(_, it)| *it);
            if by_tag {
                pool.is_some_and(|pool| wanted.contains(&pool))
            } else {
                wanted.contains(id)
            }
        };
        let items = self.machines.iter().filter(fits).map(|(id, address, tags)| {
            let tags = tags
                .iter()
                .map(|(key, value)| format!("<item><key>{key}</key><value>{value}</value></item>"));
            let address = address.map_or_else(String::new, |it| {
                format!("<privateIpAddress>{it}</privateIpAddress>")
            });
            format!(
                "<item><instancesSet><item><instanceId>{id}</instanceId>{address}\
                 <tagSet>{}</tagSet></item></instancesSet></item>",
                tags.collect::<String>()
            )
        });
        format!(
            "<DescribeInstancesResponse><reservationSet>{}</reservationSet>\
             </DescribeInstancesResponse>",
            items.collect::<String>()
        )
    }
}
