//! How a builder is launched and reached: what a person may say of it.

use std::time::Duration;

use crate::error::Fault;
use crate::image::ami::name::Tags;
use crate::plan::{Arch, Os};

/// The shortest prefix that a rule may have: a shorter one is a large part of the world.
const WIDEST_V4: u8 = 8;
const WIDEST_V6: u8 = 32;

/// Which of its addresses an instance is reached by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interface {
    /// The one in the world.
    #[default]
    Public,
    /// The one in its VPC.
    Private,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Options {
    /// The instance types, in the order in which they are tried.
    pub instance_types: Vec<String>,
    /// The subnets, in the order in which they are tried; those of the default VPC if there are
    /// none.
    pub subnets: Vec<String>,
    /// Whether a spot instance is tried first.
    pub spot: bool,
    /// Which address it is reached by.
    pub interface: Interface,
    /// The blocks of addresses that SSH is let in from.
    pub ssh_from: Vec<String>,
    /// The user; that of the distribution's own AMIs if absent.
    pub ssh_user: Option<String>,
    /// Where its SSH server listens.
    pub ssh_port: u16,
    /// A command whose input and output are the connection.
    pub proxy_command: Option<String>,
    /// The instance profile that it gets, if any.
    pub profile: Option<String>,
    /// The size of its root volume, in GiB; that of the base if absent.
    pub root_gib: Option<i32>,
    /// After so long it ends itself, whoever watches it.
    pub lifetime: Duration,
    /// How long it may take to let us in.
    pub login_deadline: Duration,
    /// How long the image may take to be available.
    pub image_deadline: Duration,
    /// Whether it is restarted once after all steps, so that the image has booted with them.
    pub reboot: bool,
    /// Whether work that fails there opens a shell there.
    pub shell_on_error: bool,
    /// The tags of all that is made, beside hostkit's own.
    pub tags: Tags,
}

impl Options {
    /// What is used where nothing is said.
    pub fn new(arch: Arch) -> Self {
        let types = match arch {
            Arch::Amd64 => &["m7i.large", "m7a.large", "m6i.large", "m5.large", "t3.large"],
            Arch::Arm64 => &["m8g.large", "m7g.large", "m6g.large", "t4g.large", "c7g.large"],
        };
        Self {
            instance_types: types.iter().map(|one| (*one).to_owned()).collect(),
            subnets: Vec::new(),
            spot: false,
            interface: Interface::default(),
            ssh_from: Vec::new(),
            ssh_user: None,
            ssh_port: 22,
            proxy_command: None,
            profile: None,
            root_gib: None,
            lifetime: Duration::from_hours(6),
            login_deadline: Duration::from_mins(15),
            image_deadline: Duration::from_hours(2),
            reboot: false,
            shell_on_error: false,
            tags: Tags::new(),
        }
    }

    /// Whether a builder can be reached that way, and by nobody else.
    ///
    /// # Errors
    /// A rule that is open to the world, or none where one is needed.
    pub fn check(&self) -> Result<(), Fault> {
        for cidr in &self.ssh_from {
            check_block(cidr)?;
        }
        let direct = self.proxy_command.is_none();
        if direct && self.interface == Interface::Public && self.ssh_from.is_empty() {
            return Err(Fault::usage("nobody may reach the builder's public address").hint(
                "say from where you come: --ssh-from $(curl -s https://checkip.amazonaws.com)/32; \
                     or give --ssh-interface private, or --proxy-command",
            ));
        }
        Ok(())
    }

    /// The user that lets us in.
    pub(super) fn user(&self, os: Os) -> &str {
        self.ssh_user.as_deref().unwrap_or(match os {
            Os::Debian => "admin",
            Os::Ubuntu => "ubuntu",
            Os::Amazon => "ec2-user",
        })
    }
}

fn check_block(cidr: &str) -> Result<(), Fault> {
    let parsed = cidr.split_once('/').and_then(|(address, prefix)| {
        let address: std::net::IpAddr = address.parse().ok()?;
        Some((address, prefix.parse::<u8>().ok()?))
    });
    let (widest, narrowest, prefix) = match parsed {
        Some((std::net::IpAddr::V4(_), prefix)) => (WIDEST_V4, 32, prefix),
        Some((std::net::IpAddr::V6(_), prefix)) => (WIDEST_V6, 128, prefix),
        None => (0, 0, u8::MAX),
    };
    if prefix > narrowest {
        return Err(Fault::usage(format!("`{cidr}` is no block of addresses"))
            .hint("one is like 203.0.113.7/32"));
    }
    if prefix < widest {
        return Err(Fault::usage(format!("a builder is not opened to all of {cidr}"))
            .hint("name the address that you come from, as 203.0.113.7/32"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut Options)) -> Result<(), Fault> {
        let mut options = Options::new(Arch::Amd64);
        change(&mut options);
        options.check()
    }

    #[test]
    fn a_builder_is_opened_to_somebody_and_never_to_everybody() {
        assert!(with(|_| {}).unwrap_err().to_string().contains("nobody may reach"));
        with(|options| options.ssh_from = vec!["203.0.113.7/32".into()]).unwrap();
        with(|options| options.ssh_from = vec!["2001:db8::7/128".into()]).unwrap();
        with(|options| options.interface = Interface::Private).unwrap();
        with(|options| options.proxy_command = Some("nc %h %p".into())).unwrap();
        for cidr in ["0.0.0.0/0", "::/0", "10.0.0.0/7", "203.0.113.7", "x/32", "10.0.0.0/33"] {
            let fault = with(|options| options.ssh_from = vec![cidr.into()]).unwrap_err();
            assert!(fault.to_string().contains(cidr), "{fault}");
        }
    }

    #[test]
    fn each_distribution_has_a_user_of_its_own() {
        let options = Options::new(Arch::Arm64);
        assert_eq!(options.user(Os::Amazon), "ec2-user");
        assert_eq!(options.user(Os::Ubuntu), "ubuntu");
        let options = Options { ssh_user: Some("core".into()), ..options };
        assert_eq!(options.user(Os::Debian), "core");
    }
}
