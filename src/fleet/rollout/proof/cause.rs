//! Why something is never going to be proven, as people read it.

use std::fmt;
use std::time::Duration;

/// Why it never will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Another version of Jenkins answers.
    Version {
        /// What the image has.
        wanted: String,
        /// What answers.
        served: String,
    },
    /// It stands on another home.
    Home {
        /// That of before.
        wanted: String,
        /// That of the new host.
        served: String,
    },
    /// It was launched from another image.
    Image {
        /// What it shall be.
        wanted: String,
        /// What it is.
        served: String,
    },
    /// It holds no newer lease than the host of before.
    Lease {
        /// The generation of before.
        before: u64,
        /// Its own.
        held: u64,
    },
    /// It took too long.
    Late {
        /// How long.
        after: Duration,
        /// What was missing.
        missing: String,
    },
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version { wanted, served } => {
                write!(f, "Jenkins {served} answers, and the image has {wanted}")
            }
            Self::Home { wanted, served } => write!(
                f,
                "the home is on {served}, and was on {wanted}: the new image or its user-data names \
                 another file system"
            ),
            Self::Image { wanted, served } => {
                write!(f, "the new host was launched from {served}, and not from {wanted}")
            }
            Self::Lease { before, held } => write!(
                f,
                "the new host holds the home under generation {held}, and the one before held \
                 {before}: this cannot be the same home"
            ),
            Self::Late { after, missing } => {
                write!(f, "after {} s {missing}", after.as_secs())
            }
        }
    }
}
