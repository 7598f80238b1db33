//! The forms of names and numbers.

use std::net::IpAddr;

/// Whether every character is `part`, and there are at least one and at most `most` of them.
pub(super) fn made_of(text: &str, most: usize, part: impl Fn(char) -> bool) -> bool {
    (1..=most).contains(&text.len()) && text.chars().all(part)
}

/// The name of an account of the machine.
pub(in crate::host) fn is_user_name(name: &str) -> bool {
    let first = |c: char| c.is_ascii_lowercase() || c == '_';
    let rest = |c: char| first(c) || c.is_ascii_digit() || c == '-';
    made_of(name, 32, rest) && name.starts_with(first)
}

pub(super) const USER_NAME: &str =
    "wanted are 1 to 32 of `a-z 0-9 _ -`, the first a letter or `_`, as \"jenkins\"";

/// An id as AWS makes them: `prefix`, then hexadecimal digits.
pub(super) fn is_id(text: &str, prefix: &str) -> bool {
    let digits = text.strip_prefix(prefix).unwrap_or_default();
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    digits.len() >= 8 && made_of(digits, 40, hex)
}

/// Whether this looks like a region, `eu-west-1` or `us-gov-east-1`: it ends up in names of hosts.
pub fn is_region(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let letters = |part: &&str| part.len() >= 2 && part.chars().all(|c| c.is_ascii_lowercase());
    let (number, names) = parts.split_last().unwrap_or((&"", &[]));
    (2..=3).contains(&names.len())
        && names.iter().all(letters)
        && made_of(number, 2, |c| c.is_ascii_digit())
}

/// The name of a parameter, with a version or a label if need be, or the ARN of a shared one.
pub(super) fn is_parameter(name: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
    if name.starts_with("arn:") {
        let arn = |c: char| part(c) || c == ':';
        return made_of(name, 1011, arn) && name.contains(":ssm:") && name.contains(":parameter/");
    }
    let (path, selector) = name.split_once(':').unwrap_or((name, "1"));
    let bare = path.trim_start_matches('/').to_ascii_lowercase();
    made_of(path, 1011, part)
        && !path.contains("//")
        && !path.ends_with('/')
        && (path.starts_with('/') || !path.contains('/'))
        && !bare.starts_with("aws")
        && !bare.starts_with("ssm")
        && made_of(selector, 100, |c| part(c) && c != '/')
}

pub(super) const PARAMETER: &str =
    "wanted is the name of an SSM parameter, as \"/devops-tools/jenkins/id_rsa\"";

/// The name of a pool or of a cloud: it becomes a part of file names, labels and parameters.
pub(super) fn is_pool(name: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    made_of(name, 63, part) && !name.starts_with(['-', '_'])
}

pub(super) const POOL: &str =
    "wanted are 1 to 63 letters, digits, `-` and `_`, the first a letter or a digit, as \"linux\"";

/// A label of Jenkins: what its label expressions give a meaning to is left out.
pub(in crate::host) fn is_label(label: &str) -> bool {
    made_of(label, 100, |c| c.is_ascii_alphanumeric() || "-_.+@:/".contains(c))
}

pub(super) const LABEL: &str = "wanted are letters, digits and `- _ . + @ : /`, as \"linux\"";

/// An absolute path without surprises.
pub(super) fn is_path(path: &str) -> bool {
    let part = |part: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
        made_of(part, 255, plain) && !part.starts_with('.')
    };
    path.len() < 1024 && path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(part))
}

/// An ARN of `service` whose last part begins with `resource`.
pub(super) fn is_arn(text: &str, service: &str, resource: &str) -> bool {
    let parts: Vec<_> = text.splitn(6, ':').collect();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:+=,@".contains(c);
    let [arn, partition, theirs, _region, account, rest] = parts[..] else { return false };
    arn == "arn"
        && made_of(partition, 20, |c| c.is_ascii_lowercase() || c == '-')
        && theirs == service
        && account.len() == 12
        && account.chars().all(|c| c.is_ascii_digit())
        && rest.len() > resource.len()
        && rest.starts_with(resource)
        && made_of(text, 1024, plain)
}

/// Whether sshd takes this for an address or a network, else what it would take. With one that it
/// does not take, it takes none of the line's keys.
pub(super) fn network(text: &str) -> Result<(), String> {
    let example = || "wanted is an address or a network, as 10.0.0.0/16".to_owned();
    let (address, length) = match text.split_once('/') {
        None => return text.parse::<IpAddr>().map(drop).map_err(|_| example()),
        Some((address, length)) => (address.parse::<IpAddr>(), length),
    };
    let address = address.map_err(|_| example())?;
    let width: u32 = if address.is_ipv4() { 32 } else { 128 };
    let digits = length.bytes().all(|digit| digit.is_ascii_digit());
    let length: u32 = length.parse().ok().filter(|_| digits).ok_or_else(example)?;
    // The bits that its hosts have.
    let rest = width.checked_sub(length);
    let rest = rest.ok_or_else(|| format!("an address of this kind has {width} bits"))?;
    let network = match address {
        IpAddr::V4(ip) => {
            let bits = ip.to_bits().checked_shr(rest).and_then(|bits| bits.checked_shl(rest));
            IpAddr::V4(bits.unwrap_or(0).into())
        }
        IpAddr::V6(ip) => {
            let bits = ip.to_bits().checked_shr(rest).and_then(|bits| bits.checked_shl(rest));
            IpAddr::V6(bits.unwrap_or(0).into())
        }
    };
    if network == address {
        return Ok(());
    }
    Err(format!("the network is {network}/{length}; one address alone is {address}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_what_sshd_takes_for_one() {
        for good in ["10.0.0.5", "10.0.0.0/16", "0.0.0.0/0", "10.0.0.5/32", "::/0", "fd00::/8"] {
            assert_eq!(network(good), Ok(()), "{good}");
        }
        for (wrong, hint) in [
            ("10.0.0.5/16", "10.0.0.0/16"),
            ("10.0.0.5/0", "0.0.0.0/0"),
            ("fd00::1/8", "fd00::/8"),
            ("10.0.0.0/33", "32 bits"),
            ("10.0.0.0/", "10.0.0.0/16"),
            ("10.0.0.0/+8", "10.0.0.0/16"),
            ("10.0.0", "an address"),
            ("", "an address"),
        ] {
            assert!(network(wrong).unwrap_err().contains(hint), "{wrong}");
        }
    }

    #[test]
    fn a_region_is_what_aws_calls_one() {
        for good in ["eu-west-1", "us-gov-east-1", "us-iso-east-1", "ap-southeast-10"] {
            assert!(is_region(good), "{good}");
        }
        for bad in ["", "evil.example", "eu-west-", "eu-west-1.evil", "-eu-west-1", "eu_west_1"] {
            assert!(!is_region(bad), "{bad}");
        }
    }

    #[test]
    fn a_parameter_is_what_ssm_takes_for_one() {
        for good in [
            "/a/b",
            "name",
            "/a/b:3",
            "/a/b:label",
            "arn:aws:ssm:eu-west-1:123456789012:parameter/x",
        ] {
            assert!(is_parameter(good), "{good}");
        }
        for wrong in ["", "/", "a/b", "/a//b", "/a/", "/a b", "/aws/x", "ssmx", "/a:", "/a:b/c"] {
            assert!(!is_parameter(wrong), "{wrong}");
        }
    }
}
