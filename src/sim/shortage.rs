//! What there is no capacity for.

use serde::Deserialize;

/// What is lacking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lack {
    /// Machines.
    #[default]
    Capacity,
    /// The account's quota of virtual processors.
    Quota,
    /// Its quota of spot instances.
    SpotQuota,
    /// Somebody pays more.
    SpotPrice,
    /// Addresses in the subnet.
    Addresses,
}

/// A want of capacity: for whatever it does not name, for all of that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Shortage {
    /// What is lacking.
    pub lack: Lack,
    /// Of which instance type.
    pub instance_type: Option<String>,
    /// In which availability zone.
    pub zone: Option<String>,
    /// In which subnet.
    pub subnet: Option<String>,
    /// Of spot instances only, or of others only.
    pub spot: Option<bool>,
    /// For how many launches from now on; for ever if absent.
    pub next: Option<u64>,
}

impl Shortage {
    /// Whether it hinders a launch, which counts.
    pub fn hinders(&mut self, instance_type: &str, zone: &str, subnet: &str, spot: bool) -> bool {
        let only = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|one| one == is);
        let concerns = only(&self.instance_type, instance_type)
            && only(&self.zone, zone)
            && only(&self.subnet, subnet)
            && self.spot.is_none_or(|one| one == spot);
        match (&mut self.next, concerns) {
            (_, false) | (Some(0), _) => false,
            (Some(next), true) => {
                *next -= 1;
                true
            }
            (None, true) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_hinders_what_it_names_as_often_as_it_says() {
        let mut shortage = Shortage {
            instance_type: Some("t3.micro".to_owned()),
            spot: Some(true),
            next: Some(1),
            ..Shortage::default()
        };
        assert!(!shortage.hinders("t3.micro", "a", "s", false));
        assert!(!shortage.hinders("t3.small", "a", "s", true));
        assert!(shortage.hinders("t3.micro", "a", "s", true));
        assert!(!shortage.hinders("t3.micro", "a", "s", true), "it was for one launch");
    }
}
