//! ECS as a boot sees it: one cluster with one host, over the real wire protocol.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The target of its operations.
pub(super) const TARGET: &str = "AmazonEC2ContainerServiceV20141113.";

/// How ECS has the host; a test changes it before a boot.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) status: &'static str,
    pub(super) connected: bool,
    /// So many times it does not know the host yet.
    pub(super) unknown: u32,
    pub(super) attributes: BTreeMap<String, String>,
    /// An operation that the role may not call.
    pub(super) denied: Option<&'static str>,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            status: "ACTIVE",
            connected: true,
            unknown: 0,
            attributes: BTreeMap::new(),
            denied: None,
        }
    }
}

impl Cluster {
    /// The status and the body of an answer.
    pub(super) fn answer(&mut self, operation: &str, input: &Value) -> (u16, Value) {
        if self.denied == Some(operation) {
            let message = format!(
                "User: arn:aws:sts::1:assumed-role/r/i-0 is not authorized to perform: \
                 ecs:{operation} on resource: *"
            );
            let refusal = json!({ "__type": "AccessDeniedException", "message": message });
            return (400, refusal);
        }
        assert!(["builds", "default"].contains(&input["cluster"].as_str().unwrap()));
        match operation {
            "DescribeContainerInstances" => (200, self.describe(&input["containerInstances"][0])),
            "PutAttributes" => {
                for one in input["attributes"].as_array().unwrap() {
                    let text = |key: &str| one[key].as_str().unwrap().to_owned();
                    assert_eq!(text("targetType"), "container-instance");
                    self.attributes.insert(text("name"), text("value"));
                }
                (200, json!({ "attributes": input["attributes"] }))
            }
            other => panic!("the boot asked for {other}"),
        }
    }

    fn describe(&mut self, arn: &Value) -> Value {
        if self.unknown > 0 {
            self.unknown -= 1;
            let failure = json!({ "arn": arn, "reason": "MISSING" });
            return json!({ "containerInstances": [], "failures": [failure] });
        }
        let own = json!({ "name": "ecs.capability.ecr-auth" });
        let attributes = self.attributes.iter();
        let attributes = attributes.map(|(name, value)| json!({ "name": name, "value": value }));
        let attributes: Vec<_> = std::iter::once(own).chain(attributes).collect();
        let host = json!({
            "containerInstanceArn": arn, "ec2InstanceId": "i-0bbbbbbbbbbbbbbbb",
            "status": self.status, "statusReason": "in its own words",
            "agentConnected": self.connected, "runningTasksCount": 0, "pendingTasksCount": 0,
            "attributes": attributes,
        });
        json!({ "containerInstances": [host], "failures": [] })
    }
}
