//! The commands that mend a group, ready to be pasted.

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Mend<'a> {
    /// The group.
    pub group: &'a str,
    /// Where it is.
    pub region: &'a str,
}

impl Mend<'_> {
    /// `aws autoscaling VERB` for the group.
    pub fn asg(&self, verb: &str, arguments: &str) -> String {
        let group = quoted(self.group);
        let named = format!("--auto-scaling-group-name {group}");
        self.aws("autoscaling", &format!("{verb} {named} {arguments}"))
    }

    /// A change of the group itself.
    pub fn update(&self, arguments: &str) -> String {
        self.asg("update-auto-scaling-group", arguments)
    }

    /// Any command of the AWS CLI.
    pub fn aws(&self, service: &str, rest: &str) -> String {
        format!("aws {service} {} --region {}", rest.trim_end(), self.region)
    }
}

/// As a shell takes it for one word.
pub fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_word_whatever_is_in_it() {
        let mend = Mend { group: "ci; rm -rf 'x'", region: "eu-west-1" };
        assert_eq!(
            mend.update("--min-size 1"),
            "aws autoscaling update-auto-scaling-group --auto-scaling-group-name \
             'ci; rm -rf '\\''x'\\''' --min-size 1 --region eu-west-1"
        );
        assert_eq!(quoted("ci-controller"), "ci-controller");
        assert_eq!(quoted(""), "''");
    }
}
