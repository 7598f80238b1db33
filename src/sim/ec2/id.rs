//! The ids of things: what kind of thing one names, and how EC2 says that there is no such thing.

use super::refusal::{Answer, Refusal};
use crate::sim::random;

/// A kind of thing that has an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An image.
    Image,
    /// An instance.
    Instance,
    /// A key pair.
    KeyPair,
    /// A launch template.
    LaunchTemplate,
    /// A network interface.
    NetworkInterface,
    /// A security group.
    SecurityGroup,
    /// A snapshot.
    Snapshot,
    /// A request for spot instances.
    SpotRequest,
    /// A subnet.
    Subnet,
    /// A volume.
    Volume,
    /// A network.
    Vpc,
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::Image,
        Self::Instance,
        Self::KeyPair,
        Self::LaunchTemplate,
        Self::NetworkInterface,
        Self::SecurityGroup,
        Self::Snapshot,
        Self::SpotRequest,
        Self::Subnet,
        Self::Volume,
        Self::Vpc,
    ];

    const fn prefix(self) -> &'static str {
        match self {
            Self::Image => "ami-",
            Self::Instance => "i-",
            Self::KeyPair => "key-",
            Self::LaunchTemplate => "lt-",
            Self::NetworkInterface => "eni-",
            Self::SecurityGroup => "sg-",
            Self::Snapshot => "snap-",
            Self::SpotRequest => "sir-",
            Self::Subnet => "subnet-",
            Self::Volume => "vol-",
            Self::Vpc => "vpc-",
        }
    }

    /// The word that tags have for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Instance => "instance",
            Self::KeyPair => "key-pair",
            Self::LaunchTemplate => "launch-template",
            Self::NetworkInterface => "network-interface",
            Self::SecurityGroup => "security-group",
            Self::Snapshot => "snapshot",
            Self::SpotRequest => "spot-instances-request",
            Self::Subnet => "subnet",
            Self::Volume => "volume",
            Self::Vpc => "vpc",
        }
    }

    /// An id that nothing has yet.
    pub fn fresh(self) -> String {
        format!("{}0{}", self.prefix(), random::hex(16))
    }

    /// The same text gives the same id.
    pub fn derived(self, text: &str) -> String {
        format!("{}0{}", self.prefix(), random::derived(text, 16))
    }

    /// The kind of thing that an id is of.
    pub fn of(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| id.starts_with(kind.prefix()))
    }

    /// Refuses what cannot be an id of this kind.
    pub fn check(self, id: &str) -> Answer<()> {
        let digits = id.strip_prefix(self.prefix()).unwrap_or_default();
        let hex = digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        if hex && matches!(digits.len(), 8 | 17) { Ok(()) } else { Err(self.malformed(id)) }
    }

    fn malformed(self, id: &str) -> Refusal {
        let message = format!("Invalid id: \"{id}\" (expecting \"{}...\")", self.prefix());
        let code = match self {
            Self::Image => "InvalidAMIID.Malformed",
            Self::Instance => return Refusal::new("InvalidInstanceID.Malformed", message),
            Self::LaunchTemplate => "InvalidLaunchTemplateId.Malformed",
            Self::SecurityGroup => "InvalidGroupId.Malformed",
            Self::Subnet => "InvalidSubnetID.Malformed",
            Self::Vpc => "InvalidVpcID.Malformed",
            Self::KeyPair
            | Self::NetworkInterface
            | Self::Snapshot
            | Self::SpotRequest
            | Self::Volume => {
                let (word, prefix) = (self.parameter(), self.prefix());
                return Refusal::value(format!(
                    "Value ({id}) for parameter {word} is invalid. Expected: '{prefix}...'."
                ));
            }
        };
        Refusal::new(code, message)
    }

    const fn parameter(self) -> &'static str {
        match self {
            Self::KeyPair => "keyPairId",
            Self::NetworkInterface => "networkInterfaceId",
            Self::Snapshot => "snapshotId",
            Self::Volume => "volumeId",
            _ => "id",
        }
    }

    /// There are no such things.
    pub fn not_found(self, ids: &[&str]) -> Refusal {
        let all = ids.join(", ");
        let one = ids.len() == 1;
        let say = |what: &str, ids: &str| match (one, what) {
            (true, _) => format!("The {what} '{ids}' does not exist"),
            (false, _) => format!("The {what}s '{ids}' do not exist"),
        };
        match self {
            Self::Image => {
                Refusal::new("InvalidAMIID.NotFound", say("image id", &format!("[{all}]")))
            }
            Self::Instance => Refusal::new("InvalidInstanceID.NotFound", say("instance ID", &all)),
            Self::KeyPair => Refusal::new("InvalidKeyPair.NotFound", say("key pair", &all)),
            Self::LaunchTemplate => Refusal::new(
                "InvalidLaunchTemplateId.NotFound",
                format!("The specified launch template, with template ID {all}, does not exist."),
            ),
            Self::NetworkInterface => {
                Refusal::new("InvalidNetworkInterfaceID.NotFound", say("networkInterface ID", &all))
            }
            Self::SecurityGroup => {
                Refusal::new("InvalidGroup.NotFound", say("security group", &all))
            }
            Self::Snapshot => Refusal::new("InvalidSnapshot.NotFound", say("snapshot", &all) + "."),
            Self::SpotRequest => Refusal::new(
                "InvalidSpotInstanceRequestID.NotFound",
                say("spot instance request ID", &all),
            ),
            Self::Subnet => Refusal::new("InvalidSubnetID.NotFound", say("subnet ID", &all)),
            Self::Volume => Refusal::new("InvalidVolume.NotFound", say("volume", &all) + "."),
            Self::Vpc => Refusal::new("InvalidVpcID.NotFound", say("vpc ID", &all)),
        }
    }

    /// Refuses ids that are malformed or unknown, all unknown ones at once.
    pub fn check_all(self, ids: &[String], known: impl Fn(&str) -> bool) -> Answer<()> {
        ids.iter().try_for_each(|id| self.check(id))?;
        let unknown: Vec<&str> = ids.iter().map(String::as_str).filter(|id| !known(id)).collect();
        if unknown.is_empty() { Ok(()) } else { Err(self.not_found(&unknown)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_id_is_well_formed_and_of_its_kind() {
        for kind in Kind::ALL {
            let id = kind.fresh();
            kind.check(&id).unwrap();
            assert_eq!(Kind::of(&id), Some(kind), "{id}");
            assert!(kind.check(&id.to_uppercase()).is_err());
        }
    }

    #[test]
    fn all_unknown_ids_are_named_in_the_plural() {
        let (one, two) = (Kind::Image.fresh(), Kind::Image.fresh());
        let refusal = Kind::Image.check_all(&[one.clone(), two.clone()], |_| false).unwrap_err();
        assert_eq!(refusal.message, format!("The image ids '[{one}, {two}]' do not exist"));
    }
}
