//! How a builder is entered: the key pair, and a security group that lets SSH in from where we are
//! and from nowhere else.

use super::keys::Keys;
use super::options::Interface;
use super::{Called as _, Job};
use crate::aws::instances::{self, Subnet};
use crate::aws::operator::region;
use crate::aws::{keypair, security_group};
use crate::error::Fault;
use crate::image::ami::name::Tags;
use crate::teardown::{Journal, Kind};

/// The step under which it is told.
pub(super) const STEP: &str = "launch";

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Doors {
    /// The name of the key pair.
    pub key: String,
    /// The security groups.
    pub groups: Vec<String>,
}

/// Makes them.
pub(super) async fn open(
    job: &Job<'_>,
    subnets: &[Subnet],
    keys: &Keys,
    tags: &Tags,
    journal: &mut Journal,
) -> anyhow::Result<Doors> {
    let (config, here, name) = (job.config, region(job.config), job.own_name());
    let number = journal.intend(Kind::KeyPair, here, &name)?;
    let id = keypair::import(config, &name, &keys.login_public, tags).await;
    journal.made(number, id.called(|| "the key pair cannot be made".to_owned())?)?;

    let vpc = vpc(subnets)?;
    let rules = rules(job, vpc).await?;
    let number = journal.intend(Kind::SecurityGroup, here, &name)?;
    let group = security_group::create(config, &name, vpc, tags).await;
    let group = group.called(|| "the security group cannot be made".to_owned())?;
    journal.made(number, &group)?;
    for cidr in rules {
        job.events.log(STEP, format!("SSH is let in from {cidr}"));
        let allowed = security_group::allow_ssh(config, &group, &cidr, job.options.ssh_port).await;
        allowed.called(|| format!("SSH cannot be let in from {cidr}"))?;
    }
    Ok(Doors { key: name, groups: vec![group] })
}

/// The one network that all subnets are part of.
fn vpc(subnets: &[Subnet]) -> Result<&str, Fault> {
    let Some(first) = subnets.first() else {
        return Err(Fault::usage("there is no subnet to launch a builder in")
            .hint("the account has no default VPC in this region: give --subnet"));
    };
    if let Some(other) = subnets.iter().find(|subnet| subnet.vpc != first.vpc) {
        let what = format!("{} and {} are in different networks", first.id, other.id);
        return Err(Fault::usage(what).hint("all --subnet must be in one VPC"));
    }
    Ok(&first.vpc)
}

/// Where SSH is let in from: what was said; else the network itself where we are in it; nowhere
/// where a proxy brings us, whose other end is on the instance.
async fn rules(job: &Job<'_>, vpc: &str) -> anyhow::Result<Vec<String>> {
    let options = job.options;
    let said = !options.ssh_from.is_empty() || options.proxy_command.is_some();
    if said || options.interface == Interface::Public {
        return Ok(options.ssh_from.clone());
    }
    let cidr = instances::vpc_cidr(job.config, vpc).await;
    let cidr = cidr.called(|| format!("the network {vpc} cannot be looked up"))?;
    let none = || Fault::aws(format!("the network {vpc} has no block of addresses"));
    Ok(vec![cidr.ok_or_else(none)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_subnets_are_in_one_network() {
        let subnet = |id: &str, vpc: &str| Subnet {
            id: id.into(),
            vpc: vpc.into(),
            zone: "z".into(),
            zone_id: "z1".into(),
            cidr: "10.0.0.0/24".into(),
        };
        assert_eq!(vpc(&[subnet("s1", "v1"), subnet("s2", "v1")]).unwrap(), "v1");
        let fault = vpc(&[subnet("s1", "v1"), subnet("s2", "v2")]).unwrap_err();
        assert_eq!(fault.to_string(), "s1 and s2 are in different networks");
        assert!(vpc(&[]).unwrap_err().hint_text().unwrap().contains("--subnet"));
    }
}
