//! Who asks EFS for what, as far as a policy can tell two of them apart.

/// What a client wants.
pub const MOUNT: &str = "elasticfilesystem:ClientMount";
/// To write.
pub const WRITE: &str = "elasticfilesystem:ClientWrite";
/// To be user 0.
pub const ROOT: &str = "elasticfilesystem:ClientRootAccess";

/// Who a client proves to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Twelve digits.
    pub account: String,
    /// The name of the role.
    pub role: String,
    /// The session: on an instance its id. May be empty.
    pub session: String,
}

impl Principal {
    /// From what is written as `arn:aws:iam::…:role/…`.
    fn arn(&self, partition: &str) -> String {
        format!("arn:{partition}:iam::{}:role/{}", self.account, self.role)
    }
}

/// A client, and how it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Who it proves to be; nothing where it proves nothing.
    pub principal: Option<Principal>,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// The ARN of the access point that it comes by.
    pub access_point: Option<String>,
    /// The ARN of the file system.
    pub file_system: String,
}

/// What a request has under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// This.
    Is(String),
    /// It has no such key.
    Absent,
    /// Nobody knows here.
    Unknown,
}

impl Client {
    /// The part of an ARN of its file system: 1 is the partition, 3 the region, 4 the account.
    fn part(&self, index: usize) -> &str {
        self.file_system.split(':').nth(index).unwrap_or_default()
    }

    /// `aws`, `aws-cn`, …
    pub fn partition(&self) -> &str {
        match self.part(1) {
            "" => "aws",
            partition => partition,
        }
    }

    /// The account that the file system belongs to.
    pub fn owner(&self) -> &str {
        self.part(4)
    }

    /// Its ARN, if it proves to be somebody.
    pub fn arn(&self) -> Option<String> {
        self.principal.as_ref().map(|it| it.arn(self.partition()))
    }

    /// Whether it is of another account than the file system.
    pub fn is_foreign(&self) -> bool {
        self.principal.as_ref().is_some_and(|it| it.account != self.owner())
    }

    /// What its requests have under a key, which may be in any case.
    pub fn fact(&self, key: &str) -> Fact {
        let truth = |it: bool| Fact::Is(it.to_string());
        let of = |value: fn(&Self) -> Option<String>| value(self).map_or(Fact::Absent, Fact::Is);
        match key.to_ascii_lowercase().as_str() {
            "aws:securetransport" => truth(self.tls),
            // What mounts comes by a mount target: there is no other way.
            "elasticfilesystem:accessedviamounttarget" => truth(true),
            "elasticfilesystem:accesspointarn" => of(|it| it.access_point.clone()),
            "aws:principalarn" => of(Self::arn),
            "aws:principalaccount" => of(|it| Some(it.principal.as_ref()?.account.clone())),
            "aws:principaltype" => of(|it| it.principal.as_ref().map(|_| "AssumedRole".to_owned())),
            "aws:principalisawsservice" | "aws:viaawsservice" => truth(false),
            "aws:requestedregion" => Fact::Is(self.part(3).to_owned()),
            "aws:resourceaccount" => Fact::Is(self.owner().to_owned()),
            // Whoever proves nothing has none of what belongs to somebody.
            key if key.starts_with("aws:principal") && self.principal.is_none() => Fact::Absent,
            "aws:userid" | "aws:username" if self.principal.is_none() => Fact::Absent,
            // A role is no user.
            "aws:username" => Fact::Absent,
            _ => Fact::Unknown,
        }
    }
}
