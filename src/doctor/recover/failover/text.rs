//! The steps of a failover, with real ids.

use super::{Ended, Situation};
use crate::doctor::efs::api::backup::spoken;
use crate::doctor::recover::steps::{By, Step, Steps};
use crate::host::HOME;
use crate::lease::ground::MARK;

impl Situation {
    /// What is to be done, in order.
    pub fn steps(&self) -> Steps {
        let copy = &self.copy.id;
        let mut steps = vec![self.dead()];
        if self.is_read_only() {
            steps.push(self.end());
            steps.push(self.wait());
        }
        steps.extend(self.mount());
        steps.extend([self.tell(), self.claim(), self.back()]);
        let title = format!("{copy} in {} becomes the home", self.region);
        Steps { title, found: self.found(), steps }
    }

    fn found(&self) -> Vec<String> {
        let copy = &self.copy.id;
        let Some(replication) = &self.replication else {
            let line = if self.is_read_only() {
                format!("{copy} is a read-only copy, of what this account may not see")
            } else {
                format!("{copy} is copied from nothing (any more): it can be written")
            };
            return vec![line];
        };
        let (source, there) = (&replication.source, &replication.source_region);
        let mut lines = vec![format!("{copy} is the read-only copy of {source} in {there}")];
        let of = replication.copy(copy);
        lines.push(match of.and_then(|of| of.synced) {
            Some(at) => format!(
                "it has all that was written until {}, {} ago: what came after is lost",
                at.strftime("%Y-%m-%d %H:%M:%S UTC"),
                spoken(self.now.duration_since(at))
            ),
            None => "it was never whole: there is nothing to fail over to".to_owned(),
        });
        if let Some(of) = of.filter(|of| of.status != "ENABLED") {
            let why = of.message.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            lines.push(format!("the replication is {}{why}", of.status));
        }
        lines.push(match &self.old_clients {
            Ok(Some(0)) => format!("nobody has {source} mounted, as {there} says"),
            Ok(Some(number)) => {
                let who = clients(*number);
                format!("{who} {source} mounted now, as {there} says: they are not dead")
            }
            Ok(None) => format!("{there} has no numbers of who has {source} mounted"),
            Err(gap) => format!("who has {source} mounted cannot be told: {}", gap.why),
        });
        lines
    }

    fn dead(&self) -> Step {
        let mut commands = Vec::new();
        if let Some(replication) = &self.replication {
            let there = &replication.source_region;
            commands.push(format!(
                "aws autoscaling update-auto-scaling-group --auto-scaling-group-name GROUP --min-size 0 \
                 --max-size 0 --desired-capacity 0 --region {there}"
            ));
            commands.push(format!(
                "aws ec2 describe-instances --filters Name=tag:aws:autoscaling:groupName,Values=GROUP \
                 --region {there} --query 'Reservations[].Instances[].[InstanceId,State.Name]'"
            ));
        }
        Step {
            what: "prove that the old controller is dead, and stays so".to_owned(),
            by: By::Person,
            commands,
            takes: "minutes; if its region does not answer, a decision of somebody who may take it",
            risk: "a group that comes back with its region starts Jenkins on the old home: two \
                   controllers build, deploy and notify at the same time, and their histories never \
                   become one again"
                .to_owned(),
        }
    }

    fn end(&self) -> Step {
        let source = self.replication.as_ref().map_or("SOURCE", |it| it.source.as_str());
        Step {
            what: "end the replication, from the side that lives".to_owned(),
            by: By::Hostkit,
            commands: vec![format!(
                "aws efs delete-replication-configuration --source-file-system-id {source} --region {}",
                self.region
            )],
            takes: "minutes",
            risk: format!(
                "it cannot be taken back: only a new replication copies again, and overwrites one side. \
                 If AWS cannot reach the old region: the same command with --deletion-mode \
                 LOCAL_CONFIGURATION_ONLY; {source} keeps its half of it then"
            ),
        }
    }

    fn wait(&self) -> Step {
        Step {
            what: format!("wait until {} can be written", self.copy.id),
            by: By::Hostkit,
            commands: vec![format!(
                "aws efs describe-file-systems --file-system-id {} --region {} --query \
                 'FileSystems[0].FileSystemProtection'",
                self.copy.id, self.region
            )],
            takes: "minutes",
            risk: "efs-replication-lost+found at its top holds what was half copied: \
                   `hostkit efs check --only home.leftovers` names it; nothing there is needed to begin"
                .to_owned(),
        }
    }

    fn mount(&self) -> Option<Step> {
        let (copy, region) = (&self.copy.id, &self.region);
        let groups = self.wish.groups.join(" ");
        let groups =
            if groups.is_empty() { groups } else { format!(" --security-groups {groups}") };
        let make = |subnet: &str| {
            format!(
                "aws efs create-mount-target --file-system-id {copy} --subnet-id {subnet}{groups} \
                 --region {region}"
            )
        };
        let risk = "one a zone, all in one network; their group must let the hosts' in on TCP 2049: \
                    `hostkit efs check --only net.groups` says so";
        let missing = self.missing();
        if !missing.is_empty() {
            return Some(Step {
                what: "make it mountable".to_owned(),
                by: By::Hostkit,
                commands: missing.into_iter().map(|subnet| make(subnet)).collect(),
                takes: "a minute or two",
                risk: risk.to_owned(),
            });
        }
        // A copy has no mount target until somebody makes one, and no host can boot on it.
        self.mounted.is_empty().then(|| Step {
            what: "make it mountable: give the subnets of the hosts with --subnet".to_owned(),
            by: By::Person,
            commands: vec![make("SUBNET")],
            takes: "a minute or two",
            risk: risk.to_owned(),
        })
    }

    fn tell(&self) -> Step {
        let copy = &self.copy.id;
        Step {
            what: "tell the hosts of it: hostkit does not".to_owned(),
            by: By::Person,
            commands: vec![
                format!(
                    "hostkit bake jenkins-controller --target ami --var efs_id={copy} --region {}",
                    self.region
                ),
                format!("hostkit upgrade jenkins-controller --asg GROUP --region {}", self.region),
            ],
            takes: "as long as a bake and a boot",
            risk: format!(
                "`efs.id = \"{copy}\"` in the image's or the user-data's host.toml, the keys in Parameter \
                 Store, the load balancer and DNS: all of them are this region's own"
            ),
        }
    }

    fn claim(&self) -> Step {
        let there = self.replication.as_ref().map_or("the old region", |it| &it.source_region);
        Step {
            what: "let the new controller have the home, on its host, as root".to_owned(),
            by: By::Person,
            commands: vec![
                format!("echo {} > {HOME}/{MARK}", self.copy.id),
                "hostkit lease status".to_owned(),
                "hostkit lease break --generation N --reason TEXT --i-have-proof TEXT".to_owned(),
            ],
            takes: "a minute",
            risk: format!(
                "the boot refuses what is marked as another file system, as the copy is. Its lease names \
                 a host of {there}, of which EC2 here knows nothing: that proves no death, and the new host \
                 waits for a person. Not before step 1 is done"
            ),
        }
    }

    fn back(&self) -> Step {
        let (copy, here) = (&self.copy.id, &self.region);
        let (source, there) =
            self.replication.as_ref().map_or(("OLD-FILE-SYSTEM", "OLD-REGION"), |it| {
                (it.source.as_str(), it.source_region.as_str())
            });
        Step {
            what: format!(
                "later, the way back: copy to {source}, then the same the other way round"
            ),
            by: By::Person,
            commands: vec![
                format!(
                    "aws efs update-file-system-protection --file-system-id {source} \
                     --replication-overwrite-protection DISABLED --region {there}"
                ),
                format!(
                    "aws efs create-replication-configuration --source-file-system-id {copy} \
                     --destinations Region={there},FileSystemId={source} --region {here}"
                ),
                format!("hostkit efs recover failover --file-system {source} --region {there}"),
            ],
            takes: "hours",
            risk: format!(
                "it overwrites all of {source}, also what was written there and never copied: back that \
                 up before"
            ),
        }
    }
}

/// That so many have something.
pub(super) fn clients(number: u64) -> String {
    if number == 1 { "1 client has".to_owned() } else { format!("{number} clients have") }
}

impl Ended {
    /// How it ended, and what is left to do.
    pub fn text(&self) -> String {
        let (id, region) = (&self.file_system, &self.region);
        let released = if self.released { ", and its replication has ended" } else { "" };
        let targets = match self.targets.len() {
            0 => String::new(),
            _ => format!("\nmount targets: {}", self.targets.join(", ")),
        };
        format!(
            "{id} in {region} can be written{released}{targets}\nleft for you: the hosts \
             (`efs.id = \"{id}\"`), then `hostkit lease status` on the new one"
        )
    }
}
