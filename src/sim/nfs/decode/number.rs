//! The protocol's numbers and their names: operations (RFC 8881 §16.2.3), errors (§15.1) and
//! attributes (§5).

use std::fmt;

/// An operation's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Operation(pub u32);

/// From number 3 on.
const OPERATIONS: [&str; 56] = [
    "ACCESS",
    "CLOSE",
    "COMMIT",
    "CREATE",
    "DELEGPURGE",
    "DELEGRETURN",
    "GETATTR",
    "GETFH",
    "LINK",
    "LOCK",
    "LOCKT",
    "LOCKU",
    "LOOKUP",
    "LOOKUPP",
    "NVERIFY",
    "OPEN",
    "OPENATTR",
    "OPEN_CONFIRM",
    "OPEN_DOWNGRADE",
    "PUTFH",
    "PUTPUBFH",
    "PUTROOTFH",
    "READ",
    "READDIR",
    "READLINK",
    "REMOVE",
    "RENAME",
    "RENEW",
    "RESTOREFH",
    "SAVEFH",
    "SECINFO",
    "SETATTR",
    "SETCLIENTID",
    "SETCLIENTID_CONFIRM",
    "VERIFY",
    "WRITE",
    "RELEASE_LOCKOWNER",
    "BACKCHANNEL_CTL",
    "BIND_CONN_TO_SESSION",
    "EXCHANGE_ID",
    "CREATE_SESSION",
    "DESTROY_SESSION",
    "FREE_STATEID",
    "GET_DIR_DELEGATION",
    "GETDEVICEINFO",
    "GETDEVICELIST",
    "LAYOUTCOMMIT",
    "LAYOUTGET",
    "LAYOUTRETURN",
    "SECINFO_NO_NAME",
    "SEQUENCE",
    "SET_SSV",
    "TEST_STATEID",
    "WANT_DELEGATION",
    "DESTROY_CLIENTID",
    "RECLAIM_COMPLETE",
];

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let index = self.0.checked_sub(3).and_then(|index| usize::try_from(index).ok());
        match index.and_then(|index| OPERATIONS.get(index)) {
            Some(name) => f.write_str(name),
            None => write!(f, "OPERATION-{}", self.0),
        }
    }
}

/// What an operation, or a whole compound, ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u32);

impl Status {
    /// It was done.
    pub const OK: Self = Self(0);
}

/// Those that a client of Linux meets on a server that is well or ill.
const STATUSES: [(u32, &str); 42] = [
    (0, "NFS4_OK"),
    (1, "NFS4ERR_PERM"),
    (2, "NFS4ERR_NOENT"),
    (5, "NFS4ERR_IO"),
    (6, "NFS4ERR_NXIO"),
    (13, "NFS4ERR_ACCESS"),
    (17, "NFS4ERR_EXIST"),
    (18, "NFS4ERR_XDEV"),
    (20, "NFS4ERR_NOTDIR"),
    (21, "NFS4ERR_ISDIR"),
    (22, "NFS4ERR_INVAL"),
    (27, "NFS4ERR_FBIG"),
    (28, "NFS4ERR_NOSPC"),
    (30, "NFS4ERR_ROFS"),
    (31, "NFS4ERR_MLINK"),
    (63, "NFS4ERR_NAMETOOLONG"),
    (66, "NFS4ERR_NOTEMPTY"),
    (69, "NFS4ERR_DQUOT"),
    (70, "NFS4ERR_STALE"),
    (10001, "NFS4ERR_BADHANDLE"),
    (10004, "NFS4ERR_NOTSUPP"),
    (10006, "NFS4ERR_SERVERFAULT"),
    (10008, "NFS4ERR_DELAY"),
    (10010, "NFS4ERR_DENIED"),
    (10011, "NFS4ERR_EXPIRED"),
    (10012, "NFS4ERR_LOCKED"),
    (10013, "NFS4ERR_GRACE"),
    (10018, "NFS4ERR_RESOURCE"),
    (10022, "NFS4ERR_STALE_CLIENTID"),
    (10023, "NFS4ERR_STALE_STATEID"),
    (10024, "NFS4ERR_OLD_STATEID"),
    (10025, "NFS4ERR_BAD_STATEID"),
    (10026, "NFS4ERR_BAD_SEQID"),
    (10032, "NFS4ERR_ATTRNOTSUPP"),
    (10036, "NFS4ERR_BADXDR"),
    (10038, "NFS4ERR_OPENMODE"),
    (10046, "NFS4ERR_FILE_OPEN"),
    (10052, "NFS4ERR_BADSESSION"),
    (10053, "NFS4ERR_BADSLOT"),
    (10054, "NFS4ERR_COMPLETE_ALREADY"),
    (10063, "NFS4ERR_SEQ_MISORDERED"),
    (10078, "NFS4ERR_DEADSESSION"),
];

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match STATUSES.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "NFS4ERR-{}", self.0),
        }
    }
}

/// The attribute that is a file's size.
pub const SIZE: usize = 4;
/// The attribute that is a file's handle.
pub const FILE_HANDLE: usize = 19;

/// The name of an attribute that can be set.
pub fn attribute(number: usize) -> String {
    match number {
        SIZE => "size".to_owned(),
        12 => "acl".to_owned(),
        33 => "mode".to_owned(),
        36 => "owner".to_owned(),
        37 => "owner_group".to_owned(),
        48 => "time_access".to_owned(),
        54 => "time_modify".to_owned(),
        _ => format!("attribute-{number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_names_of_the_rfc() {
        let named = [
            (3, "ACCESS"),
            (18, "OPEN"),
            (38, "WRITE"),
            (53, "SEQUENCE"),
            (58, "RECLAIM_COMPLETE"),
        ];
        for (number, name) in named {
            assert_eq!(Operation(number).to_string(), name);
        }
        assert_eq!(Operation(2).to_string(), "OPERATION-2");
        assert_eq!(Status(10052).to_string(), "NFS4ERR_BADSESSION");
        assert_eq!(Status(99).to_string(), "NFS4ERR-99");
    }
}
